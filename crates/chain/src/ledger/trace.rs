//! A value with its history by epoch, as the contracts' `Checkpoints` keep it.

/// Values as they count in an epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace<T> {
    points: Vec<(u32, T)>,
}

impl<T: Copy + Default> Trace<T> {
    /// Sets the value from `epoch` on; what was set for the same epoch or a later one is forgotten.
    pub fn set(&mut self, epoch: u32, value: T) {
        self.points.retain(|(since, _)| *since < epoch);
        self.points.push((epoch, value));
    }

    /// Forgets what was set for epochs after `epoch`.
    pub fn forget_after(&mut self, epoch: u32) {
        self.points.retain(|(since, _)| *since <= epoch);
    }

    /// The newest value, whichever epoch it counts from.
    #[must_use]
    pub fn latest(&self) -> T {
        self.points.last().map_or_else(T::default, |(_, value)| *value)
    }

    /// The value in `epoch`; the default before the first one.
    #[must_use]
    pub fn at(&self, epoch: u32) -> T {
        let after = self.points.partition_point(|(since, _)| *since <= epoch);
        if after == 0 { T::default() } else { self.points[after - 1].1 }
    }

    /// The epoch from which the value in `epoch` counts; 0 before the first one.
    #[must_use]
    pub fn since(&self, epoch: u32) -> u32 {
        self.points.iter().rev().map(|(since, _)| *since).find(|since| *since <= epoch).unwrap_or(0)
    }

    /// The changes, oldest first.
    #[must_use]
    pub fn points(&self) -> &[(u32, T)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::Trace;

    #[test]
    fn a_value_counts_from_its_epoch_until_the_next_change() {
        let mut trace = Trace::default();
        assert_eq!(trace.at(9), 0);
        trace.set(2, 10);
        trace.set(5, 20);
        trace.set(5, 21);
        let seen: Vec<u32> = (0..7).map(|epoch| trace.at(epoch)).collect();
        assert_eq!(seen, [0, 0, 10, 10, 10, 21, 21]);
        assert_eq!(trace.latest(), 21);
        assert_eq!([1, 4, 9].map(|epoch| trace.since(epoch)), [0, 2, 5]);
        trace.set(3, 7);
        assert_eq!(trace.points(), [(2, 10), (3, 7)]);
        trace.forget_after(2);
        assert_eq!(trace.points(), [(2, 10)]);
    }
}
