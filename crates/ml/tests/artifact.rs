//! Artifacts that somebody wrote to harm us.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

use aiarena_ml::{Architecture, ArtifactError, Error, MAX_ARTIFACT_BYTES, Model, evaluate};
use proptest::prelude::*;
use safetensors::{SafeTensors, tensor::TensorView};

fn architectures() -> Vec<Architecture> {
    vec![
        Architecture::linear(),
        Architecture::mlp(&[3]).unwrap(),
        Architecture::mlp(&[4, 2]).unwrap(),
        Architecture::cnn([2, 3]).unwrap(),
    ]
}

fn linear() -> Vec<u8> {
    Model::init(Architecture::linear(), &[1; 32]).to_bytes()
}

/// A file of a header and the bytes after it.
fn file(header: &str, content: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), content].concat()
}

/// The parts of a file: its header's text and the bytes after it.
fn parts(bytes: &[u8]) -> (String, Vec<u8>) {
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    (String::from_utf8(bytes[8..8 + length].to_vec()).unwrap(), bytes[8 + length..].to_vec())
}

/// The linear artifact with a part of its header replaced, which must be there.
fn edited(from: &str, to: &str) -> Vec<u8> {
    let (header, content) = parts(&linear());
    assert!(header.contains(from), "{header}");
    file(&header.replace(from, to), &content)
}

fn error_of(bytes: &[u8]) -> ArtifactError {
    Model::from_bytes(bytes).map(|model| model.architecture().to_string()).unwrap_err()
}

#[test]
fn round_trip() {
    for architecture in architectures() {
        let model = Model::init(architecture, &[1; 32]);
        let bytes = model.to_bytes();
        assert_eq!(bytes, model.clone().to_bytes());
        assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
    }
    let largest = [Architecture::mlp(&[1024, 1024]).unwrap(), Architecture::cnn([64, 64]).unwrap()];
    for architecture in largest {
        let model = Model::init(architecture, &[1; 32]);
        assert_eq!(Model::from_bytes(&model.to_bytes()).unwrap(), model);
    }
}

/// What we write, the reference library reads; and what it writes, we read.
#[test]
fn the_format_is_safetensors() {
    for architecture in architectures() {
        let model = Model::init(architecture, &[1; 32]);
        let bytes = model.to_bytes();
        let library = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(library.len(), model.tensors().len());
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let views: Vec<(String, TensorView<'_>)> = library.tensors();
        let theirs = safetensors::serialize(views, metadata.metadata().clone()).unwrap();
        assert_eq!(Model::from_bytes(&theirs).unwrap(), model);
    }
}

#[test]
fn wrong_headers() {
    let (header, content) = parts(&linear());
    let many: String =
        (0..100).map(|i| format!(r#""t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},"#)).collect();
    let rank = ["1"; 9].join(",");
    let deep = "[".repeat(100_000);
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "shorter"),
        (vec![0; 7], "shorter"),
        (vec![0; 8], "EOF"),
        (file("", &content), "EOF"),
        (file("[]", &content), "invalid type"),
        (file("null", &content), "invalid type"),
        (file(&header[..header.trim_end().len() - 1], &content), "EOF"),
        (file(&format!("{header}{{}}"), &content), "trailing"),
        (file(&header.replace("F32", "F\u{0}32"), &content), "control character"),
        (file(&header.replacen('{', &format!("{{\"x\":{deep}"), 1), &content), "header"),
        (file(&header.replacen("{\"__", &format!("{{{many}\"__"), 1), &content), "more than 64 entries"),
        (edited(r#""layer1.bias":"#, r#""layer1.weight":"#), "layer1.weight is given twice"),
        (edited(r#""layer1.bias":"#, r#""__metadata__":"#), "header"),
        (edited(r#"{"__metadata__""#, r#"{"__metadata__":{},"__metadata__""#), "__metadata__ is given twice"),
        (edited(r#""aiarena":"1""#, r#""aiarena":"1","aiarena":"1""#), "aiarena is given twice"),
        (
            edited(r#""dtype":"F32","shape":[10],"#, r#""dtype":"F32","dtype":"F32","shape":[10],"#),
            "duplicate field",
        ),
        (edited(r#""dtype":"F32","shape":[10],"#, r#""shape":[10],"#), "missing field"),
        (edited(r#""dtype":"F32","shape":[10],"#, r#""dtype":"F32","shape":[10],"x":1,"#), "unknown field"),
        (edited("[10]", &format!("[{rank}]")), "more than 8 dimensions"),
        (edited("[10]", "[-10]"), "invalid value"),
        (edited("[10]", "[10.0]"), "invalid type"),
        (edited("[10]", "[18446744073709551616]"), "invalid"),
        (edited("[10]", "10"), "invalid type"),
        (edited("[31360,31400]", "[31360]"), "invalid length"),
        (edited("[31360,31400]", "[31360,31400,31400]"), "trailing"),
    ];
    for (bytes, reason) in rows {
        let error = error_of(&bytes);
        assert!(matches!(error, ArtifactError::Header { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error} instead of {reason}");
        assert!(error.to_string().len() < 1_000);
    }
}

#[test]
fn wrong_sizes() {
    let bytes = linear();
    assert_eq!(
        error_of(&vec![0; MAX_ARTIFACT_BYTES + 1]),
        ArtifactError::TooLarge { limit: MAX_ARTIFACT_BYTES, got: MAX_ARTIFACT_BYTES + 1 }
    );
    for claimed in [bytes.len() as u64 - 7, 1 << 32, 1 << 63, u64::MAX, u64::MAX - 7] {
        let mut bytes = bytes.clone();
        bytes[..8].copy_from_slice(&claimed.to_le_bytes());
        let limit = bytes.len() as u64 - 8;
        assert_eq!(error_of(&bytes), ArtifactError::HeaderLength { limit, got: claimed });
    }
    // A header of more than 1 MiB, although the file has room for it.
    let (header, content) = parts(&bytes);
    let long = file(&format!("{header}{}", " ".repeat(1 << 20)), &content);
    let got = header.len() as u64 + (1 << 20);
    assert_eq!(error_of(&long), ArtifactError::HeaderLength { limit: 1 << 20, got });
}

#[test]
fn wrong_manifests() {
    let rows = [
        (edited(r#""aiarena":"1","#, ""), "no aiarena"),
        (edited(r#""aiarena":"1""#, r#""aiarena":"2""#), "version 2"),
        (edited(r#""aiarena":"1""#, r#""aiarena":"1","x":"y""#), "unknown field x"),
        (edited(r#""linear""#, r#""forest""#), "forest"),
        (edited(r#""linear""#, r#""mlp""#), "hidden layers"),
        (edited(r#""linear""#, r#""cnn""#), "cnn with 0"),
        (edited(r#""widths":"""#, r#""widths":"1""#), "linear with 1"),
        (edited(r#""linear","widths":"""#, r#""mlp","widths":"0""#), "width is 0"),
        (edited(r#""linear","widths":"""#, r#""mlp","widths":"1025""#), "width is 1025"),
        (edited(r#""linear","widths":"""#, r#""mlp","widths":"1,2,3""#), "hidden layers is 3"),
        (edited(r#""linear","widths":"""#, r#""mlp","widths":"+8""#), "widths +8"),
        (edited(r#""linear","widths":"""#, r#""mlp","widths":"08""#), "widths 08"),
        (edited(r#""linear","widths":"""#, r#""mlp","widths":"8,""#), "widths 8,"),
        (edited(r#""linear","widths":"""#, r#""mlp","widths":"99999999999999999999""#), "widths 999"),
        (edited(r#""linear","widths":"""#, r#""cnn","widths":"65,1""#), "channels is 65"),
        (file("{}", &[]), "no aiarena"),
    ];
    for (bytes, reason) in rows {
        let error = error_of(&bytes);
        assert!(matches!(error, ArtifactError::Manifest { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error} instead of {reason}");
    }
    let long = error_of(&edited(r#""linear""#, &format!("\"{}\"", "x".repeat(1_000_000))));
    assert!(long.to_string().len() < 500, "a message does not repeat a stranger's megabyte");
}

#[test]
fn wrong_tensors() {
    let weight = "layer1.weight".to_owned();
    let bias = "layer1.bias".to_owned();
    let rows = [
        (edited("layer1.bias", "layer1.Bias"), ArtifactError::MissingTensor { name: bias.clone() }),
        (
            edited(
                r#""layer1.bias""#,
                r#""x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"layer1.bias""#,
            ),
            ArtifactError::UnexpectedTensor { name: "x".into() },
        ),
        (
            edited(r#""F32","shape":[10]"#, r#""F16","shape":[10]"#),
            ArtifactError::WrongType { name: bias.clone(), got: "F16".into() },
        ),
        (
            edited("[10,784]", "[784,10]"),
            ArtifactError::WrongShape { name: weight.clone(), expected: vec![10, 784], got: vec![784, 10] },
        ),
        (
            edited("[10,784]", "[4294967296, 4294967296]"),
            ArtifactError::WrongShape {
                name: weight.clone(),
                expected: vec![10, 784],
                got: vec![1 << 32, 1 << 32],
            },
        ),
        (
            edited("[10]", "[10,1]"),
            ArtifactError::WrongShape { name: bias.clone(), expected: vec![10], got: vec![10, 1] },
        ),
        (
            edited("[10]", "[]"),
            ArtifactError::WrongShape { name: bias.clone(), expected: vec![10], got: vec![] },
        ),
    ];
    for (bytes, expected) in rows {
        assert_eq!(error_of(&bytes), expected);
    }
}

#[test]
fn holes_and_overlaps() {
    let (header, content) = parts(&linear());
    let longer = [&content[..], &[0; 4]].concat();
    let rows = [
        // The bias inside of the weight, before it, behind a hole, backwards, and beyond the end.
        (edited("[31360,31400]", "[31320,31360]"), 31_360, [31_320, 31_360]),
        (edited("[31360,31400]", "[0,40]"), 40, [0, 31_360]),
        (file(&header.replace("[31360,31400]", "[31364,31404]"), &longer), 31_360, [31_364, 31_404]),
        (edited("[31360,31400]", "[31400,31360]"), 31_360, [31_400, 31_360]),
        (edited("[31360,31400]", "[31360,31396]"), 31_360, [31_360, 31_396]),
        (edited("[31360,31400]", "[31360,18446744073709551615]"), 31_360, [31_360, u64::MAX]),
        (edited("[0,31360]", "[18446744073709551615,31360]"), 0, [31_360, 31_400]),
        // Bytes that no tensor covers, and too few of them.
        (file(&header, &longer), 31_400, [31_404, 31_404]),
        (file(&header, &content[..31_399]), 31_400, [31_399, 31_399]),
        (file(&header, &[]), 31_400, [0, 0]),
    ];
    for (bytes, expected, got) in rows {
        match error_of(&bytes) {
            ArtifactError::Layout { expected: e, got: g, .. } => assert_eq!((e, g), (expected, got)),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn values_that_are_no_numbers() {
    let (header, content) = parts(&linear());
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
        let mut content = content.clone();
        content[31_360 + 4 * 3..][..4].copy_from_slice(&value.to_le_bytes());
        let expected = ArtifactError::NotFinite { name: "layer1.bias".into(), index: 3 };
        assert_eq!(error_of(&file(&header, &content)), expected);
    }
}

/// All weights are finite, but the answers are not.
#[test]
fn weights_that_overflow() {
    let rows = aiarena_ml::Rows::new(vec![255; 784], vec![0]).unwrap();
    for architecture in architectures() {
        let tensors = architecture.tensors().iter().map(|spec| vec![f32::MAX; spec.len()]).collect();
        let model = Model::new(architecture, tensors).unwrap();
        assert_eq!(Model::from_bytes(&model.to_bytes()).unwrap(), model);
        assert_eq!(evaluate(&model, &rows, &[0]), Err(Error::NotFinite { row: 0 }));
    }
}

#[test]
fn tensors_that_make_no_model() {
    let new = |tensors| Model::new(Architecture::linear(), tensors).unwrap_err();
    let (weight, bias) = (vec![0.0; 7_840], vec![0.0; 10]);
    assert_eq!(new(vec![weight.clone()]), ArtifactError::MissingTensor { name: "layer1.bias".into() });
    let third = vec![weight.clone(), bias.clone(), bias.clone()];
    assert_eq!(new(third), ArtifactError::UnexpectedTensor { name: "number 3".into() });
    assert!(matches!(new(vec![bias.clone(), weight.clone()]), ArtifactError::WrongShape { .. }));
    let infinite = vec![weight, vec![f32::INFINITY; 10]];
    assert_eq!(new(infinite), ArtifactError::NotFinite { name: "layer1.bias".into(), index: 0 });
}

fn mutation() -> impl Strategy<Value = (usize, Vec<(prop::sample::Index, u8)>, prop::sample::Index, bool)> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (0..4_usize, changes, any::<prop::sample::Index>(), prop::bool::weighted(0.2))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

    #[test]
    fn any_bytes_are_a_model_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Model::from_bytes(&bytes);
        let _ = Model::from_bytes(&file(&String::from_utf8_lossy(&bytes), &bytes));
    }

    /// Bytes changed in the header, where they do most harm, or the file cut: no panic, and what is accepted is a whole
    /// model, which the reference library accepts as well.
    #[test]
    fn damaged_artifacts((which, changes, cut, cuts) in mutation()) {
        let mut bytes = Model::init(architectures()[which].clone(), &[1; 32]).to_bytes();
        let header = bytes.len().min(600);
        for (index, byte) in changes {
            bytes[index.index(header)] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Model::from_bytes(&bytes) {
            prop_assert!(SafeTensors::deserialize(&bytes).is_ok());
            prop_assert_eq!(Model::from_bytes(&model.to_bytes()).unwrap(), model);
        }
    }

    /// Words of JSON in any order reach deeper into the parser than bytes do.
    #[test]
    fn headers_of_known_words(words in prop::collection::vec(0..WORDS.len(), 0..40)) {
        let header: String = words.into_iter().map(|word| WORDS[word]).collect();
        let _ = Model::from_bytes(&file(&format!("{{{header}}}"), &[0; 40]));
    }
}

const WORDS: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "4",
    "40",
    "1e9",
    "-1",
    "null",
    r#""__metadata__":"#,
    r#""layer1.bias":"#,
    r#""dtype":"F32""#,
    r#""shape":"#,
    r#""data_offsets":[0,40]"#,
    r#""aiarena":"1""#,
    r#""family":"linear""#,
    r#""widths":"""#,
];
