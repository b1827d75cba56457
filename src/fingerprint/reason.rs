//! Why a stage has to run: typed, old → new.

use std::fmt;

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
                let name = field.name.clone();
                reasons.push(Self::Changed {
                    role: field.role,
                    name,
                    old: value(left),
                    new: value(right),
                });
            }
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
        (_, old, new) => write!(
            f,
            "{what}: {} → {}",
            old.map_or("not set".into(), short),
            new.map_or("not set".into(), short)
        ),
    }
}

/// A value that fits a line.
fn short(value: &str) -> String {
    const LONGEST: usize = 60;
    if value.chars().count() <= LONGEST {
        return value.to_string();
    }
    value.chars().take(LONGEST - 1).chain(['…']).collect()
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
        let mut walk = Walk::new("split", 1);
        walk.device();
        assert_eq!(walk.clone().finish(1, None), walk.clone().finish(2, None));
        assert_ne!(
            walk.clone().finish(1, Some("cpu")).digest(),
            walk.clone().finish(1, Some("gpu")).digest()
        );
        walk.seed();
        assert_ne!(
            walk.clone().finish(1, None).digest(),
            walk.finish(2, None).digest()
        );
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
        fn explanations_bring_back_the_fingerprint(settings in proptest::collection::btree_map("[a-z_]{1,5}", 0i64..9, 0..5)) {
            let settings: Vec<(&str, i64)> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let print = print(&settings, "aa");
            prop_assert_eq!(Fingerprint::from_explanation(&print.explanation()), print);
        }
    }
}
