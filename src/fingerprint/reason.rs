//! Why a stage has to run: typed, old → new.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::key::{Field, Fingerprint, Role};

/// One reason for running a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No earlier result is known here.
    New,
    /// The user asked for it.
    Forced,
    /// A field of its key differs from the last result's.
    Changed {
        /// What the field is about.
        role: Role,
        /// Its name.
        name: String,
        /// Its value then; none if it was not there.
        old: Option<String>,
        /// Its value now; none if it is gone.
        new: Option<String>,
    },
    /// A stage that it needs will run first, and may change its input.
    Upstream {
        /// That stage.
        stage: String,
    },
    /// Its result is known, but a part of it is missing from the cache or was altered there.
    Lost,
}

impl Reason {
    /// What differs between the last result and now. Empty if nothing does.
    #[must_use]
    pub fn between(old: &Fingerprint, new: &Fingerprint) -> Vec<Self> {
        let mut reasons = Vec::new();
        let (mut old, mut new) = (
            old.fields().iter().peekable(),
            new.fields().iter().peekable(),
        );
        let place = |field: &Field| (field.role, field.name.clone());
        loop {
            let (left, right) = match (old.peek(), new.peek()) {
                (None, None) => return reasons,
                (Some(_), None) => (old.next(), None),
                (None, Some(_)) => (None, new.next()),
                (Some(left), Some(right)) => match place(left).cmp(&place(right)) {
                    std::cmp::Ordering::Less => (old.next(), None),
                    std::cmp::Ordering::Greater => (None, new.next()),
                    std::cmp::Ordering::Equal => (old.next(), new.next()),
                },
            };
            let value = |field: Option<&Field>| field.map(|field| field.value.clone());
            if let (Some(field), true) = (left.or(right), value(left) != value(right)) {
                reasons.extend(Self::of_field(field, value(left), value(right)));
            }
        }
    }

    /// What differs in one field: for two tables each key that differs, however deep, else the value.
    fn of_field(field: &Field, old: Option<String>, new: Option<String>) -> Vec<Self> {
        let parsed = |value: &Option<String>| serde_json::from_str(value.as_deref()?).ok();
        let mut reasons = Vec::new();
        match (field.role, parsed(&old), parsed(&new)) {
            (Role::Setting, Some(old), Some(new)) => {
                differences(&field.name, Some(&old), Some(&new), &mut reasons);
            }
            _ => reasons.push(Self::Changed {
                role: field.role,
                name: field.name.clone(),
                old,
                new,
            }),
        }
        reasons
    }
}

/// Adds what differs between two values of the setting `name`.
fn differences(name: &str, old: Option<&Value>, new: Option<&Value>, into: &mut Vec<Reason>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            differences(&format!("{name}.{key}"), old.get(key), new.get(key), into);
        }
        return;
    }
    into.push(Reason::Changed {
        role: Role::Setting,
        name: name.into(),
        old: old.map(Value::to_string),
        new: new.map(Value::to_string),
    });
}

impl Reason {
    /// What it says where several instances of a matrix have it in common, to stand behind their number; none if it is about one thing.
    #[must_use]
    pub fn of_several(&self) -> Option<String> {
        match self {
            Self::Upstream { stage } => {
                let (base, _) = stage.split_once('@')?;
                Some(format!("of `{base}` run first"))
            }
            Self::Changed {
                role: Role::Input,
                name,
                old,
                new,
            } => {
                let (port, _) = name.split_once('/')?;
                let what = match (old, new) {
                    (None, Some(_)) => "are new",
                    (Some(_), None) => "are gone",
                    _ => "changed",
                };
                Some(format!("inputs of `{port}` {what}"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("no earlier result"),
            Self::Forced => f.write_str("forced"),
            Self::Upstream { stage } => write!(f, "`{stage}` runs first"),
            Self::Lost => f.write_str("its result is damaged or missing in the cache"),
            Self::Changed {
                role,
                name,
                old,
                new,
            } => changed(f, *role, name, old.as_deref(), new.as_deref()),
        }
    }
}

fn changed(
    f: &mut fmt::Formatter<'_>,
    role: Role,
    name: &str,
    old: Option<&str>,
    new: Option<&str>,
) -> fmt::Result {
    let what = match role {
        Role::Setting => name.to_string(),
        Role::Kind | Role::Seed | Role::Device => role.word().to_string(),
        Role::File | Role::Input => format!("{} `{name}`", role.word()),
    };
    match (role, old, new) {
        (_, None, Some(_)) if matches!(role, Role::File | Role::Input) => {
            write!(f, "{what} is new")
        }
        (_, Some(_), None) if matches!(role, Role::File | Role::Input) => {
            write!(f, "{what} is gone")
        }
        (Role::File | Role::Input, _, _) => write!(f, "{what} changed"),
        (_, old, new) => {
            let (old, new) = (old.unwrap_or("not set"), new.unwrap_or("not set"));
            let from = first_difference(old, new);
            write!(f, "{what}: {} → {}", excerpt(old, from), excerpt(new, from))
        }
    }
}

/// How many characters two values have in common at their start.
fn first_difference(old: &str, new: &str) -> usize {
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b);
    same.count()
}

/// A value that fits a line and shows what stands at the character `place`.
fn excerpt(value: &str, place: usize) -> String {
    const LONGEST: usize = 60;
    /// What is shown before the place, so that one sees where it is.
    const BEFORE: usize = 20;
    let characters: Vec<char> = value.chars().collect();
    let start = if characters.len() <= LONGEST || place < LONGEST - BEFORE {
        0
    } else {
        place - BEFORE
    };
    let end = characters.len().min(start + LONGEST);
    let dots = |cut: bool| if cut { "…" } else { "" };
    format!(
        "{}{}{}",
        dots(start > 0),
        characters[start.min(end)..end].iter().collect::<String>(),
        dots(end < characters.len())
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Manifest, Walk};
    use super::*;

    fn print(settings: &[(&str, i64)], input: &str) -> Fingerprint {
        let mut walk = Walk::new("finetune", 1);
        for (name, value) in settings {
            walk.setting(name, &serde_json::json!(value));
        }
        walk.input("train", input.into());
        walk.finish(42, Some("cpu"))
    }

    #[test]
    fn long_values_show_what_differs_and_tables_which_key() {
        let print = |sql: &str, files: serde_json::Value| {
            let mut walk = Walk::new("preprocess", 1);
            walk.setting("sql", &serde_json::json!(sql));
            walk.setting("files", &files);
            walk.finish(42, Some("cpu"))
        };
        let select = "SELECT text, label FROM reviews WHERE source = 'rotten_tomatoes' AND label";
        let old = print(
            &format!("{select} = 0"),
            serde_json::json!({"a": 1, "b": 2}),
        );
        let new = print(
            &format!("{select} > 0"),
            serde_json::json!({"b": 3, "c": 4}),
        );
        let reasons: Vec<String> = Reason::between(&old, &new)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            reasons,
            [
                "files.a: 1 → not set",
                "files.b: 2 → 3",
                "files.c: not set → 4",
                "sql: …tomatoes' AND label = 0\" → …tomatoes' AND label > 0\"",
            ]
        );
    }

    #[test]
    fn reasons_name_old_and_new() {
        let old = print(&[("epochs", 5), ("gone", 1)], "aa");
        let new = print(&[("added", 2), ("epochs", 10)], "bb");
        let reasons: Vec<String> = Reason::between(&old, &new)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            reasons,
            [
                "added: not set → 2",
                "epochs: 5 → 10",
                "gone: 1 → not set",
                "input `train` changed"
            ]
        );
        assert_eq!(Reason::between(&old, &old), []);
    }

    #[test]
    fn recipes_leave_the_device_out_and_seeds_count_only_when_used() {
        let key = |walk: &Walk, seed, device| walk.clone().finish(seed, Some(device)).digest();
        let mut walk = Walk::new("split", 1);
        assert_eq!(walk.recipe(&[], 1), key(&walk, 1, "cpu"));
        walk.device();
        assert_eq!(walk.recipe(&[], 1), walk.recipe(&[], 2));
        assert_eq!(key(&walk, 1, "cpu"), key(&walk, 2, "cpu"));
        assert_ne!(key(&walk, 1, "cpu"), key(&walk, 1, "gpu"));
        walk.seed();
        assert_ne!(walk.recipe(&[], 1), walk.recipe(&[], 2));
        assert_ne!(key(&walk, 1, "cpu"), key(&walk, 2, "cpu"));
    }

    proptest! {
        #[test]
        fn keys_are_equal_exactly_when_fields_are(
            left in proptest::collection::vec(("[ab ]{0,3}", "[ab1]{0,3}"), 0..4),
            right in proptest::collection::vec(("[ab ]{0,3}", "[ab1]{0,3}"), 0..4),
        ) {
            let build = |fields: &[(String, String)]| {
                let mut walk = Walk::new("x", 1);
                for (name, value) in fields {
                    walk.file(name, value.clone());
                }
                walk.finish(0, None)
            };
            let (left, right) = (build(&left), build(&right));
            prop_assert_eq!(left.digest() == right.digest(), left == right);
            prop_assert_eq!(Reason::between(&left, &left), vec![]);
        }

        #[test]
        fn recipes_are_made_as_keys_are(
            settings in proptest::collection::btree_map("[a-z_]{1,5}", 0i64..9, 0..5),
            inputs in proptest::collection::btree_map("[a-z/]{1,5}", "[0-9a-f]{2}", 0..3),
            seeded: bool,
        ) {
            let mut walk = Walk::new("x", 1);
            for (name, value) in &settings {
                walk.setting(name, &serde_json::json!(value));
            }
            if seeded {
                walk.seed();
            }
            let ports: Vec<(&str, String)> = inputs.iter().map(|(port, digest)| (port.as_str(), digest.clone())).collect();
            let recipe = walk.recipe(&ports, 7);
            for (port, digest) in inputs {
                walk.input(&port, digest);
            }
            prop_assert_eq!(recipe, walk.finish(7, None).digest());
        }

        #[test]
        fn explanations_bring_back_the_fingerprint(settings in proptest::collection::btree_map("[a-z_]{1,5}", 0i64..9, 0..5)) {
            let settings: Vec<(&str, i64)> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let print = print(&settings, "aa");
            prop_assert_eq!(Fingerprint::from_explanation(print.explanation().iter().map(|(name, value)| (&**name, &**value))), print);
        }
    }
}
