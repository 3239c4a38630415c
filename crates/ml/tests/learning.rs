//! Training, scoring and the test for copies, on the real rows.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

use std::{collections::BTreeSet, thread};

use aiarena_ml::{
    Architecture, Dataset, Error, Evaluation, Model, Progress, Rows, TrainingConfig, eval_slice, evaluate,
    is_near_copy, similarity, train,
};
use sha2::{Digest, Sha256};

fn config(seed: u8) -> TrainingConfig {
    TrainingConfig { rows: 600, passes: 2, batch: 32, learning_rate: 0.01, momentum: 0.9, seed: [seed; 32] }
}

fn trained(architecture: &Architecture, dataset: &Dataset, seed: u8) -> Model {
    train(Model::init(architecture.clone(), &[seed; 32]), &dataset.training, &config(seed), |_| {}).unwrap()
}

fn families() -> [Architecture; 4] {
    [
        Architecture::linear(),
        Architecture::mlp(&[16]).unwrap(),
        Architecture::mlp(&[24, 12]).unwrap(),
        Architecture::cnn([4, 8]).unwrap(),
    ]
}

fn digest(model: &Model) -> String {
    Sha256::digest(model.to_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The bits of trained models and of their scores, as every machine must find them.
#[test]
fn golden_training_and_scores() {
    let dataset = Dataset::embedded();
    let found = families().map(|architecture| {
        let model = trained(&architecture, &dataset, 1);
        let scores = [1, 2].map(|epoch| {
            let slice = eval_slice(&[9; 32], epoch, 4_000, 1_000);
            let evaluation = evaluate(&model, &dataset.evaluation, &slice).unwrap();
            assert_eq!(evaluation.score().get(), evaluation.correct * 1_000_000);
            format!("{} of {}, {}", evaluation.correct, evaluation.total, evaluation.loss_nanonats)
        });
        format!("{architecture}: {}; {}", digest(&model), scores.join("; "))
    });
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 4] = [
    "linear: 4a9bb2d66b6b307c; 669 of 1000, 870646557255; 678 of 1000, 833785286322",
    "mlp 16: 88eb86db50e55631; 616 of 1000, 1204391102180; 625 of 1000, 1169874009727",
    "mlp 24-12: 28043130a9434c0a; 453 of 1000, 1611460969924; 478 of 1000, 1564874431671",
    "cnn 4-8: 8137b6967a0d9e29; 682 of 1000, 955448550027; 683 of 1000, 965907636421",
];

/// Trained and scored on three threads at once, or on one after the other: the same bits.
#[test]
fn threads_change_nothing() {
    let dataset = Dataset::embedded();
    let slice = eval_slice(&[9; 32], 1, 4_000, 300);
    for architecture in families() {
        let work = || {
            let model = trained(&architecture, &dataset, 1);
            (evaluate(&model, &dataset.evaluation, &slice).unwrap(), model.to_bytes())
        };
        let alone = work();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
            assert!(threads.into_iter().all(|thread| thread.join().unwrap() == alone));
        });
    }
}

/// A row's result does not depend on which rows are scored with it.
#[test]
fn a_slice_is_the_sum_of_its_rows() {
    let dataset = Dataset::embedded();
    for architecture in families() {
        let model = trained(&architecture, &dataset, 1);
        let slice: Vec<u32> = (0..131).collect();
        let whole = evaluate(&model, &dataset.evaluation, &slice).unwrap();
        let mut sum = Evaluation { correct: 0, total: 0, loss_nanonats: 0 };
        for row in slice.iter().rev() {
            let one = evaluate(&model, &dataset.evaluation, &[*row]).unwrap();
            sum.correct += one.correct;
            sum.total += one.total;
            sum.loss_nanonats += one.loss_nanonats;
        }
        assert_eq!(sum, whole);
    }
}

#[test]
fn training_improves_and_continues() {
    let dataset = Dataset::embedded();
    let slice: Vec<u32> = (0..4_000).collect();
    for architecture in families() {
        let begin = Model::init(architecture.clone(), &[1; 32]);
        let mut told = Vec::new();
        let first =
            train(begin.clone(), &dataset.training, &config(1), |progress| told.push(progress)).unwrap();
        let second = train(first.clone(), &dataset.training, &config(2), |_| {}).unwrap();
        assert!(matches!(
            told[..],
            [Progress { pass: 1, passes: 2, .. }, Progress { pass: 2, passes: 2, .. }]
        ));
        assert!(told[1].loss < told[0].loss);
        let losses = [&begin, &first, &second]
            .map(|model| evaluate(model, &dataset.evaluation, &slice).unwrap().mean_loss());
        assert!(losses.is_sorted_by(|earlier, later| earlier > later), "{architecture}: {losses:?}");
    }
}

#[test]
fn equal_answers_mean_the_lowest_class() {
    let rows = Rows::new(vec![100; 3 * 784], vec![0, 1, 9]).unwrap();
    let evaluation = evaluate(&zero(&Architecture::linear()), &rows, &[0, 1, 2]).unwrap();
    // Ten equal answers: the loss of each row is ln 10.
    assert_eq!(evaluation, Evaluation { correct: 1, total: 3, loss_nanonats: 3 * 2_302_585_093 });
    assert_eq!(evaluation.score().get(), 333_333_333);
}

fn zero(architecture: &Architecture) -> Model {
    let tensors = architecture.tensors().iter().map(|spec| vec![0.0; spec.len()]).collect();
    Model::new(architecture.clone(), tensors).unwrap()
}

#[test]
fn senseless_configurations() {
    let rows = Dataset::embedded().training.first(100);
    let begin = || Model::init(Architecture::linear(), &[1; 32]);
    let good = TrainingConfig { rows: 100, ..config(1) };
    let refused = [
        TrainingConfig { rows: 0, ..good.clone() },
        TrainingConfig { rows: 101, ..good.clone() },
        TrainingConfig { passes: 0, ..good.clone() },
        TrainingConfig { batch: 0, ..good.clone() },
        TrainingConfig { learning_rate: -1.0, ..good.clone() },
        TrainingConfig { learning_rate: f64::NAN, ..good.clone() },
        TrainingConfig { learning_rate: f64::INFINITY, ..good.clone() },
        TrainingConfig { momentum: 1.0, ..good.clone() },
    ];
    for config in refused {
        let error = train(begin(), &rows, &config, |_| {}).unwrap_err();
        assert!(matches!(error, Error::OutOfBounds { .. } | Error::NotAllowed { .. }), "{config:?}: {error}");
    }
    let wild = TrainingConfig { learning_rate: 99.0, passes: 50, ..good.clone() };
    let mlp = Model::init(Architecture::mlp(&[4, 4]).unwrap(), &[1; 32]).perturbed(1e30, &[1; 32]);
    assert!(matches!(train(mlp, &rows, &wild, |_| {}), Err(Error::Diverged { .. })));
    // A batch larger than the rows is one step for each pass.
    assert!(train(begin(), &rows, &TrainingConfig { batch: 4_096, ..good }, |_| {}).is_ok());
    assert!(matches!(Architecture::mlp(&[]), Err(Error::OutOfBounds { .. })));
    assert!(matches!(Architecture::cnn([1, 65]), Err(Error::OutOfBounds { .. })));
    let no_row = evaluate(&begin(), &rows, &[100]);
    assert_eq!(no_row, Err(Error::NoSuchRow { row: 100, rows: 100 }));
}

#[test]
fn copies_are_found_and_independent_models_are_not() {
    let dataset = Dataset::embedded();
    for architecture in families().into_iter().skip(1) {
        let [a, b, c] = [1, 2, 3].map(|seed| trained(&architecture, &dataset, seed));
        for (one, other) in [(&a, &b), (&b, &c), (&a, &c)] {
            assert!(!is_near_copy(one, other), "{architecture}: {:?}", similarity(one, other));
            assert_eq!(similarity(one, other), similarity(other, one));
        }
        assert_eq!(similarity(&a, &a).ppm, 1_000_000);
        for sigma in [1e-7, 1e-3, 0.1, 0.5] {
            assert!(is_near_copy(&a.perturbed(sigma, &[7; 32]), &a), "{architecture} {sigma}");
        }
        let tuned = train(a.clone(), &dataset.training, &config(9), |_| {}).unwrap();
        assert!(is_near_copy(&tuned, &a), "{architecture}: {:?}", similarity(&tuned, &a));
        // Nothing resembles a model without weights.
        assert_eq!(similarity(&zero(&architecture), &a).ppm, 0);
    }
}

/// Longer incoming weights of a unit and shorter outgoing ones change no answer, and hide no copy.
#[test]
fn rescaled_units_are_found() {
    let dataset = Dataset::embedded();
    let slice: Vec<u32> = (0..200).collect();
    for architecture in families().into_iter().skip(1) {
        let model = trained(&architecture, &dataset, 1);
        let copy = rescaled(&model);
        assert_eq!(
            evaluate(&copy, &dataset.evaluation, &slice).unwrap().correct,
            evaluate(&model, &dataset.evaluation, &slice).unwrap().correct
        );
        assert!(copy.to_bytes() != model.to_bytes());
        assert!(similarity(&copy, &model).ppm > 999_000, "{architecture}: {:?}", similarity(&copy, &model));
    }
}

/// Every first hidden unit scaled by another power of two, and its outgoing weights by the inverse.
fn rescaled(model: &Model) -> Model {
    let specs = model.architecture().tensors();
    let mut tensors = model.tensors().to_vec();
    let factor = |unit: usize| [0.125, 1.0, 16.0, 4.0][unit % 4];
    let units = specs[0].shape[0];
    let (incoming, outgoing) = (specs[0].len() / units, specs[2].len() / specs[2].shape[0]);
    for (i, weight) in tensors[0].iter_mut().enumerate() {
        *weight *= factor(i / incoming);
    }
    for (unit, bias) in tensors[1].iter_mut().enumerate() {
        *bias *= factor(unit);
    }
    for (i, weight) in tensors[2].iter_mut().enumerate() {
        *weight /= factor(i % outgoing / (outgoing / units));
    }
    Model::new(model.architecture().clone(), tensors).unwrap()
}

/// The largest and the smallest weights that an artifact can hold still have a direction.
#[test]
fn extreme_weights_are_compared() {
    for architecture in families().into_iter().skip(1) {
        let filled = |value: f32, first: f32| {
            let signed = |i: usize| if i * i % 37 < 18 { value } else { -value };
            let mut tensors: Vec<Vec<f32>> =
                architecture.tensors().iter().map(|spec| (0..spec.len()).map(signed).collect()).collect();
            tensors[0][0] = first;
            Model::new(architecture.clone(), tensors).unwrap()
        };
        for value in [f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1)] {
            let found = similarity(&filled(value, 0.0), &filled(value, value));
            assert!(found.ppm > 900_000, "{architecture} {value}: {found:?}");
        }
    }
}

#[test]
fn linear_models_are_copies_only_if_equal() {
    let dataset = Dataset::embedded();
    let [a, b] = [1, 2].map(|seed| trained(&Architecture::linear(), &dataset, seed));
    assert!(is_near_copy(&a, &a.clone()));
    assert!(!is_near_copy(&a, &b));
    assert!(!is_near_copy(&a.perturbed(1e-3, &[1; 32]), &a));
}

#[test]
fn models_of_other_shapes_are_no_copies() {
    let models = families().map(|architecture| Model::init(architecture, &[1; 32]));
    let similarities: BTreeSet<i32> = (0..4)
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| similarity(&models[i], &models[j]).ppm)
        .collect();
    assert_eq!(similarities, BTreeSet::from([0]));
}
