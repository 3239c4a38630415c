// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice What a deployment fixes about emission for ever.
/// @param vault the vault, which is deployed after this: its address is computed beforehand, and its constructor checks
/// that they belong together.
/// @param owner who may admit tasks and set the fee, a timelock for example; zero for nobody.
/// @param initial what all admitted tasks together are paid per epoch at first, in base units (M-2).
/// @param decayWad factor on it after each `period` epochs, above 0 and at most 1 (M-2).
struct EmissionConfig {
    address vault;
    address owner;
    uint96 initial;
    uint64 decayWad;
    uint32 period;
}

/// @title Emission: which tasks share the emission, and how much it is (M-2)
/// @notice The one contract with an owner, and it holds no token. The owner can admit tasks to emission, dismiss them, and
/// set the fee on claims up to the vault's limit; each acts from the next epoch but one on, so that everybody sees it an
/// epoch ahead. The owner can touch no stake, no score and no reward, can be a timelock, and can renounce for ever.
interface IEmission {
    error BadDeployment(bytes32 what);
    error NotVault(address caller);
    error UnknownTask(uint256 task);
    error AlreadyAdmitted(uint256 task);
    error NotAdmitted(uint256 task);
    error TooManyAdmitted(uint256 limit);

    event Admitted(uint256 indexed task, uint256 indexed fromEpoch);
    event Dismissed(uint256 indexed task, uint256 indexed untilEpoch);
    /// @notice The first seed of an epoch fixed what the admitted tasks share, and their effective stake together.
    event EmissionFixed(uint256 indexed epoch, uint256 amount, uint256 totalStake);

    // ------------------------------------------------------------------ for the owner

    /// @notice Admits a task to emission from the next epoch but one on. At most 32 at a time.
    function admit(uint256 task) external;

    /// @notice Ends a task's admission from the next epoch but one on.
    function dismiss(uint256 task) external;

    /// @notice Sets the fee on claims, and who gets what is collected, both from the next epoch but one on (M-14).
    function setFee(uint64 feeWad, address treasury) external;

    // ------------------------------------------------------------------ for the vault

    /// @notice What a task gets of the current epoch's emission: in proportion to its effective stake; rounds down.
    function draw(uint256 task) external returns (uint256 amount);

    // ------------------------------------------------------------------ views

    function config() external view returns (EmissionConfig memory);

    /// @notice What the schedule allows all admitted tasks together in `epoch`.
    function rateAt(uint256 epoch) external view returns (uint256);

    /// @notice From which epoch and before which epoch a task takes part; zeros if it never did.
    function admissionOf(uint256 task) external view returns (uint32 fromEpoch, uint32 untilEpoch);

    /// @notice The tasks on the list: admitted, or dismissed and not forgotten yet.
    function admitted() external view returns (uint256[] memory);
}
