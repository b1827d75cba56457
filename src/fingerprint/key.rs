//! The key of a stage: everything that can change its result, as named fields, and one digest over them.

use std::sync::LazyLock;

use serde_json::Value;

use super::Manifest;

/// The version of the encoding below.
///
/// 1: first.
const FORMAT: u32 = 1;

/// What a field is about. The order here is the order in explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The stage's kind and its algorithm version.
    Kind,
    /// A setting of the stage.
    Setting,
    /// A file outside the cache, by content.
    File,
    /// An input, by content.
    Input,
    /// The stage's seed.
    Seed,
    /// The class of the device that computes floats.
    Device,
}

impl Role {
    const ALL: [Self; 6] = [
        Self::Kind,
        Self::Setting,
        Self::File,
        Self::Input,
        Self::Seed,
        Self::Device,
    ];

    /// The word for it in records and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Setting => "setting",
            Self::File => "file",
            Self::Input => "input",
            Self::Seed => "seed",
            Self::Device => "device",
        }
    }
}

/// One thing that the result depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// What it is about.
    pub role: Role,
    /// Its name; empty for roles that occur once.
    pub name: String,
    /// Its value: JSON for settings, a digest for contents.
    pub value: String,
}

/// Role, name and value.
type Parts<'f> = (Role, &'f str, &'f str);

impl Field {
    fn parts(&self) -> Parts<'_> {
        (self.role, &self.name, &self.value)
    }
}

/// See [`Fingerprint::digest`]. The encoding goes through one buffer, because the hash takes it in faster in one piece.
fn digest<'f>(fields: impl Iterator<Item = Parts<'f>>) -> [u8; 32] {
    static BEGINNING: LazyLock<blake3::Hasher> =
        LazyLock::new(|| blake3::Hasher::new_derive_key("refire stage key"));
    let mut encoding = Vec::with_capacity(1024);
    let mut put = |bytes: &[u8]| {
        encoding.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        encoding.extend_from_slice(bytes);
    };
    put(&FORMAT.to_le_bytes());
    for (role, name, value) in fields {
        put(role.word().as_bytes());
        put(name.as_bytes());
        put(value.as_bytes());
    }
    *BEGINNING.clone().update(&encoding).finalize().as_bytes()
}

/// All fields of a stage, sorted: the explanation of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    fields: Vec<Field>,
}

impl Fingerprint {
    /// The fields, sorted by role and name.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The value of a field, if it is there.
    #[must_use]
    pub fn value(&self, role: Role, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|field| field.role == role && field.name == name)
            .map(|field| field.value.as_str())
    }

    /// The digest of the fields: BLAKE3 over role, name and value, each with its length before it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(self.fields.iter().map(Field::parts))
    }

    /// The fields as a record keeps them: `setting epochs` → `10`.
    #[must_use]
    pub fn explanation(&self) -> Vec<(String, String)> {
        let name = |field: &Field| {
            format!("{} {}", field.role.word(), field.name)
                .trim_end()
                .to_string()
        };
        self.fields
            .iter()
            .map(|field| (name(field), field.value.clone()))
            .collect()
    }

    /// The fingerprint that a record explains; fields of roles that this version does not know are dropped.
    #[must_use]
    pub fn from_explanation<'e>(explanation: impl IntoIterator<Item = (&'e str, &'e str)>) -> Self {
        let read = |(name, value): (&'e str, &'e str)| {
            let (word, name) = name.split_once(' ').unwrap_or((name, ""));
            let role = Role::ALL.into_iter().find(|role| role.word() == word)?;
            Some(Field {
                role,
                name: name.into(),
                value: value.into(),
            })
        };
        let mut fields: Vec<Field> = explanation.into_iter().filter_map(read).collect();
        fields.sort();
        Self { fields }
    }
}

/// Collects the walk of one stage into its key and its recipe.
#[derive(Clone, Debug)]
pub struct Walk {
    fields: Vec<Field>,
    skipped: Vec<(String, &'static str)>,
    uses_seed: bool,
    uses_device: bool,
}

impl Walk {
    /// Begins the walk of a stage of `kind` at algorithm `version`.
    #[must_use]
    pub fn new(kind: &str, version: u32) -> Self {
        let kind = Field {
            role: Role::Kind,
            name: String::new(),
            value: format!("{kind} v{version}"),
        };
        Self {
            fields: vec![kind],
            skipped: Vec::new(),
            uses_seed: false,
            uses_device: false,
        }
    }

    /// The settings that cannot change the result, with the reason.
    #[must_use]
    pub fn skipped(&self) -> &[(String, &'static str)] {
        &self.skipped
    }

    /// Whether the stage computes floats, so that its key holds the device class.
    #[must_use]
    pub fn uses_device(&self) -> bool {
        self.uses_device
    }

    /// The fields so far.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Adds a file by the digest of its content.
    pub fn file(&mut self, role: &str, digest: String) {
        self.push(Role::File, role, digest);
    }

    /// Adds an input by the digest of its artifact.
    pub fn input(&mut self, port: &str, digest: String) {
        self.push(Role::Input, port, digest);
    }

    /// The digest of the walk with `inputs` (port → recipe of what makes it) and the stage's seed, without the device: it is
    /// the same on every machine.
    #[must_use]
    pub fn recipe(&self, inputs: &[(&str, String)], seed: u64) -> [u8; 32] {
        let seed = seed.to_string();
        let inputs = inputs.iter();
        let inputs = inputs.map(|(port, digest)| (Role::Input, *port, digest.as_str()));
        let mut fields: Vec<Parts<'_>> = self.fields.iter().map(Field::parts).collect();
        fields.extend(inputs);
        fields.extend(self.uses_seed.then_some((Role::Seed, "", seed.as_str())));
        fields.sort_unstable();
        digest(fields.into_iter())
    }

    /// Ends the walk. `device` is the class of the device that computes, if that is known.
    #[must_use]
    pub fn finish(mut self, seed: u64, device: Option<&str>) -> Fingerprint {
        if self.uses_seed {
            self.push(Role::Seed, "", seed.to_string());
        }
        if let (true, Some(device)) = (self.uses_device, device) {
            self.push(Role::Device, "", device.into());
        }
        self.fields.sort();
        Fingerprint {
            fields: self.fields,
        }
    }

    fn push(&mut self, role: Role, name: &str, value: String) {
        self.fields.push(Field {
            role,
            name: name.into(),
            value,
        });
    }
}

impl Manifest for Walk {
    fn setting(&mut self, name: &str, value: &Value) {
        self.push(Role::Setting, name, value.to_string());
    }

    fn skip(&mut self, name: &str, reason: &'static str) {
        self.skipped.push((name.into(), reason));
    }

    fn seed(&mut self) {
        self.uses_seed = true;
    }

    fn device(&mut self) {
        self.uses_device = true;
    }
}
