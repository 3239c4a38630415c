//! A model as a file: safetensors, with a manifest in its metadata.
//!
//! The manifest says which family the weights belong to. It is part of the same file, so that one content hash covers
//! both:
//!
//! ```text
//! {"__metadata__":{"aiarena":"1","family":"mlp","widths":"128"},"layer1.bias":{"dtype":"F32",…},…}
//! ```
//!
//! Whoever wrote the file may wish us harm, so [`Model::from_bytes`] trusts nothing: size, header, manifest, names,
//! types, shapes and positions are checked here before the safetensors library sees a byte, and every value after it.
//! Memory and time are bounded by the size of the file, which is bounded by [`MAX_ARTIFACT_BYTES`].

use std::{collections::BTreeMap, fmt};

use safetensors::SafeTensors;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use crate::{
    error::ArtifactError,
    model::{Architecture, Model, TensorSpec},
};

/// The largest artifact, in bytes (8 MiB).
pub const MAX_ARTIFACT_BYTES: usize = 8 << 20;
/// The largest header, in bytes (1 MiB).
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Most tensors, and most entries of the metadata.
const MAX_ENTRIES: usize = 64;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;
/// The version of the manifest.
const VERSION: &str = "1";
/// The header's length comes first, in this many bytes.
const LENGTH_BYTES: usize = 8;

impl Model {
    /// The model as an artifact. Equal models give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let architecture = self.architecture();
        let widths: Vec<String> = architecture.widths().iter().map(usize::to_string).collect();
        let mut header = format!(
            r#"{{"__metadata__":{{"aiarena":"{VERSION}","family":"{}","widths":"{}"}}"#,
            architecture.family(),
            widths.join(",")
        );
        let mut content = Vec::new();
        for (spec, values) in architecture.tensors().iter().zip(self.tensors()) {
            let start = content.len();
            content.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let shape: Vec<String> = spec.shape.iter().map(usize::to_string).collect();
            let (name, shape, end) = (&spec.name, shape.join(","), content.len());
            header +=
                &format!(r#","{name}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{start},{end}]}}"#);
        }
        header.push('}');
        // Spaces keep the weights aligned, as the format asks.
        let padded = header.len().next_multiple_of(LENGTH_BYTES);
        header.extend(std::iter::repeat_n(' ', padded - header.len()));
        [&(padded as u64).to_le_bytes(), header.as_bytes(), &content].concat()
    }

    /// Reads an artifact that anybody may have written.
    ///
    /// # Errors
    /// [`ArtifactError`]: whoever submitted the bytes submitted no model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArtifactError> {
        if bytes.len() > MAX_ARTIFACT_BYTES {
            return Err(ArtifactError::TooLarge { limit: MAX_ARTIFACT_BYTES, got: bytes.len() });
        }
        let (header, content) = split(bytes)?;
        let header: Header = serde_json::from_slice(header)
            .map_err(|error| ArtifactError::Header { reason: shortened(&error.to_string()) })?;
        let architecture = architecture(&header.metadata)?;
        let specs = architecture.tensors();
        check_tensors(&header.tensors, &specs)?;
        check_layout(&header.tensors, content.len() as u64)?;
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| ArtifactError::Header { reason: shortened(&error.to_string()) })?;
        let tensors = specs.iter().map(|spec| values(&file, spec)).collect::<Result<_, _>>()?;
        Self::new(architecture, tensors)
    }
}

/// The header's text, and the bytes after it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), ArtifactError> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| ArtifactError::Header {
        reason: "the file is shorter than its header's length".into(),
    })?;
    let got = u64::from_le_bytes(*length);
    let limit = MAX_HEADER_BYTES.min(rest.len() as u64);
    match usize::try_from(got) {
        Ok(length) if got <= limit => Ok(rest.split_at(length)),
        _ => Err(ArtifactError::HeaderLength { limit, got }),
    }
}

/// The model that the manifest describes.
fn architecture(metadata: &BTreeMap<String, String>) -> Result<Architecture, ArtifactError> {
    let wrong = |reason: String| ArtifactError::Manifest { reason: shortened(&reason) };
    let field = |name: &str| metadata.get(name).ok_or_else(|| wrong(format!("no {name}")));
    if let Some(name) = metadata.keys().find(|name| !["aiarena", "family", "widths"].contains(&name.as_str()))
    {
        return Err(wrong(format!("unknown field {name}")));
    }
    let (version, family, widths) = (field("aiarena")?, field("family")?, field("widths")?);
    if version != VERSION {
        return Err(wrong(format!("version {version}, not {VERSION}")));
    }
    let widths = if widths.is_empty() {
        Vec::new()
    } else {
        let width = |text: &str| {
            let number: usize = text.parse().ok()?;
            // One spelling only: no sign, no leading zero.
            (number.to_string() == text).then_some(number)
        };
        widths
            .split(',')
            .map(width)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong(format!("widths {widths}")))?
    };
    match (family.as_str(), &widths[..]) {
        ("linear", []) => Ok(Architecture::linear()),
        ("mlp", hidden) => Architecture::mlp(hidden).map_err(|error| wrong(error.to_string())),
        ("cnn", [first, second]) => {
            Architecture::cnn([*first, *second]).map_err(|error| wrong(error.to_string()))
        }
        _ => Err(wrong(format!("family {family} with {} widths", widths.len()))),
    }
}

/// Exactly the tensors of the family, each of the right type and shape.
fn check_tensors(tensors: &BTreeMap<String, Entry>, specs: &[TensorSpec]) -> Result<(), ArtifactError> {
    for spec in specs {
        let name = spec.name.clone();
        let Some(entry) = tensors.get(&name) else { return Err(ArtifactError::MissingTensor { name }) };
        if entry.dtype != "F32" {
            return Err(ArtifactError::WrongType { name, got: shortened(&entry.dtype) });
        }
        if !entry.shape.0.iter().copied().eq(spec.shape.iter().map(|size| *size as u64)) {
            return Err(ArtifactError::WrongShape {
                name,
                expected: spec.shape.clone(),
                got: entry.shape.0.clone(),
            });
        }
    }
    match tensors.keys().find(|name| specs.iter().all(|spec| spec.name != **name)) {
        Some(name) => Err(ArtifactError::UnexpectedTensor { name: shortened(name) }),
        None => Ok(()),
    }
}

/// The tensors lie one after the other, with no hole and no overlap, up to the end of the file.
fn check_layout(tensors: &BTreeMap<String, Entry>, content: u64) -> Result<(), ArtifactError> {
    let mut in_order: Vec<(&String, &Entry)> = tensors.iter().collect();
    in_order.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut covered = 0;
    for (name, entry) in in_order {
        // The shapes are known to be the family's, whose sizes are small.
        let size = 4 * entry.shape.0.iter().product::<u64>();
        if entry.data_offsets != [covered, covered + size] {
            return Err(ArtifactError::Layout {
                name: name.clone(),
                expected: covered,
                got: entry.data_offsets,
            });
        }
        covered += size;
    }
    if covered == content {
        Ok(())
    } else {
        Err(ArtifactError::Layout { name: "end of file".into(), expected: covered, got: [content, content] })
    }
}

fn values(file: &SafeTensors<'_>, spec: &TensorSpec) -> Result<Vec<f32>, ArtifactError> {
    let missing = |_| ArtifactError::MissingTensor { name: spec.name.clone() };
    let (numbers, _) = file.tensor(&spec.name).map_err(missing)?.data().as_chunks::<4>();
    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Enough of a text that a stranger wrote to recognise it in a message.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 100;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// The header of a safetensors file.
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Entry>,
}

/// What the header says of one tensor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

struct Shape(Vec<u64>);

/// A map none of whose names is given twice, with few of them.
struct Unique<T>(BTreeMap<String, T>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut metadata = None;
                let mut tensors = Unique(BTreeMap::new());
                while let Some(name) = map.next_key::<String>()? {
                    if name != "__metadata__" {
                        tensors.insert(name, &mut map)?;
                    } else if metadata.replace(map.next_value::<Unique<String>>()?.0).is_some() {
                        return Err(A::Error::custom("__metadata__ is given twice"));
                    }
                }
                Ok(Header { metadata: metadata.unwrap_or_default(), tensors: tensors.0 })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}

impl<T> Unique<T> {
    fn insert<'de, A: MapAccess<'de>>(&mut self, name: String, map: &mut A) -> Result<(), A::Error>
    where
        T: Deserialize<'de>,
    {
        if self.0.len() == MAX_ENTRIES {
            return Err(A::Error::custom(format_args!("more than {MAX_ENTRIES} entries")));
        }
        if self.0.contains_key(&name) {
            return Err(A::Error::custom(format_args!("{name} is given twice")));
        }
        self.0.insert(name, map.next_value()?);
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Unique<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Unique<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut texts = Unique(BTreeMap::new());
                while let Some(name) = map.next_key()? {
                    texts.insert(name, &mut map)?;
                }
                Ok(texts)
            }
        }

        deserializer.deserialize_map(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;

        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_RANK} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(size) = sequence.next_element()? {
                    if shape.len() == MAX_RANK {
                        return Err(A::Error::custom(format_args!("more than {MAX_RANK} dimensions")));
                    }
                    shape.push(size);
                }
                Ok(Shape(shape))
            }
        }

        deserializer.deserialize_seq(ShapeVisitor)
    }
}
