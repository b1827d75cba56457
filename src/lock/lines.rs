//! A lock as refire writes it, read line by line: many times as fast as TOML in general, in a fraction of the memory.
//!
//! Whatever is written in another way (by hand, with markers of a merge) is left to the TOML parser and its errors.

use std::str::Lines;

use super::{Entry, Lock, VERSION};
use crate::config::Named;
use crate::store::Digest;

/// The lock that `text` holds, if every line of it is as refire writes it.
pub(super) fn read(text: &str) -> Option<Lock> {
    // TOML refuses the others, or gives them a meaning.
    let is_plain = |byte: u8| byte == b'\n' || !byte.is_ascii_control();
    if !text.bytes().all(is_plain) {
        return None;
    }
    let mut lines = text.lines();
    let version = lines.by_ref().find(|line| !line.starts_with('#'))?;
    if version.strip_prefix("version = ")? != VERSION.to_string() {
        return None;
    }
    let mut lock = Lock::default();
    let mut header = next(&mut lines);
    while let Some(line) = header {
        let (stage, None) = heading(line)? else {
            return None;
        };
        let entry = entry(&mut lines, stage, &mut header)?;
        if lock.stages.insert(stage.into(), entry).is_some() {
            return None;
        }
    }
    Some(lock)
}

/// The entry of `stage`, whose heading was the last line. `header` becomes the line after it.
fn entry<'t>(lines: &mut Lines<'t>, stage: &str, header: &mut Option<&'t str>) -> Option<Entry> {
    let (mut recipe, mut key, mut device) = (None, None, None);
    let mut line = next(lines);
    while let Some((name, value)) = line.and_then(pair) {
        match name {
            "recipe" => recipe = Some(text(value)?.parse().ok()?),
            "key" => key = Some(text(value)?.parse().ok()?),
            "device" => device = Some(text(value)?.to_string()),
            _ => return None,
        }
        line = next(lines);
    }
    let mut entry = Entry {
        recipe: recipe?,
        key: key?,
        device,
        inputs: Named::default(),
        outputs: Named::default(),
        metrics: Named::default(),
    };
    let mut parts = Vec::new();
    loop {
        let part = match line.map(heading) {
            Some(Some((of, Some(part)))) if of == stage => part,
            Some(None) => return None,
            _ => break,
        };
        if parts.contains(&part) {
            return None;
        }
        parts.push(part);
        line = next(lines);
        while let Some((name, value)) = line.and_then(pair) {
            let digest = || text(value)?.parse::<Digest>().ok();
            let name = name.to_string();
            let known = match part {
                "inputs" => entry.inputs.insert(name, digest()?).is_some(),
                "outputs" => entry.outputs.insert(name, digest()?).is_some(),
                "metrics" => entry.metrics.insert(name, number(value)?).is_some(),
                _ => return None,
            };
            if known {
                return None;
            }
            line = next(lines);
        }
    }
    *header = line;
    Some(entry)
}

/// The next line that is not empty.
fn next<'t>(lines: &mut Lines<'t>) -> Option<&'t str> {
    lines.find(|line| !line.is_empty())
}

/// `[stage.NAME]` or `[stage.NAME.PART]`.
fn heading(line: &str) -> Option<(&str, Option<&str>)> {
    let path = line.strip_prefix("[stage.")?.strip_suffix(']')?;
    let (name, rest) = name(path)?;
    match rest {
        "" => Some((name, None)),
        _ => Some((name, Some(rest.strip_prefix('.')?))),
    }
}

/// `NAME = VALUE`; none for a heading.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = name(line)?;
    Some((name, rest.strip_prefix(" = ")?))
}

/// A bare or a quoted name, and what follows it.
fn name(line: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = line.strip_prefix('"') {
        let (name, rest) = quoted.split_once('"')?;
        return (!name.contains('\\')).then_some((name, rest));
    }
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let end = line.find(|c| !bare(c)).unwrap_or(line.len());
    (end > 0).then(|| line.split_at(end))
}

/// A quoted text without escapes.
fn text(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains(['"', '\\'])).then_some(text)
}

/// A float, or a count, as TOML has it, where Rust means the same by it.
fn number(value: &str) -> Option<f64> {
    let is_count = value.len() < 16 && value.bytes().all(|byte| byte.is_ascii_digit());
    if is_count && !value.starts_with('0') {
        return value.parse().ok();
    }
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = value.strip_prefix('-').unwrap_or(value);
    let (whole, rest) = unsigned.split_once('.')?;
    let (decimals, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
    let is_plain = are_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && are_digits(decimals)
        && are_digits(exponent.strip_prefix('-').unwrap_or(exponent));
    is_plain.then(|| value.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn digests() -> impl Strategy<Value = BTreeMap<String, Digest>> {
        let digest = any::<[u8; 32]>().prop_map(Digest::from);
        prop::collection::btree_map("[a-z]{1,3}([./ =\"]x)?", digest, 0..3)
    }

    prop_compose! {
        fn entries()(
            recipe in any::<[u8; 32]>(),
            key in any::<[u8; 32]>(),
            device in prop::option::of("[a-z]{1,4}( [a-z\"\\\\-]{1,4})?"),
            inputs in digests(),
            outputs in digests(),
            metrics in prop::collection::btree_map("[a-z0-9_@]{1,4}", -1e9..1e9, 0..3),
        ) -> Entry {
            Entry {
                recipe: recipe.into(),
                key: key.into(),
                device,
                inputs: (&inputs).into(),
                outputs: (&outputs).into(),
                metrics: (&metrics).into(),
            }
        }
    }

    proptest! {
        /// Where this reader says anything, it says what the TOML parser says.
        #[test]
        fn lines_and_toml_agree(
            stages in prop::collection::btree_map("[a-z]{1,3}(@lr=1e-4)?", entries(), 0..4),
            cut in any::<prop::sample::Index>(),
            damage in prop::option::of("[\\[\\]a=\"\n ]"),
        ) {
            let lock = Lock { stages, ..Lock::default() };
            let mut text = lock.to_text().expect("it can be written");
            if let Some(damage) = damage {
                text.insert_str(cut.index(text.len()), &damage);
            }
            if let Some(read) = read(&text) {
                prop_assert_eq!(Ok(read), toml::from_str::<Lock>(&text));
            }
        }
    }

    #[test]
    fn what_refire_writes_is_read_here() {
        let entry = Entry {
            recipe: Digest::of(b"recipe"),
            key: Digest::of(b"key"),
            device: Some("cpu x86-64-v4".into()),
            inputs: Named::from_iter([("tables.reviews".into(), Digest::of(b"in"))]),
            outputs: Named::from_iter([("model".into(), Digest::of(b"out"))]),
            metrics: Named::from_iter([
                ("accuracy".into(), 0.76),
                ("best_epoch".into(), 3.0),
                ("epochs".into(), 3.0),
                ("tiny".into(), 1e-20),
            ]),
        };
        let names = ["tune@lr=1e-4", "z"];
        let stages = names.map(|name| (name.to_string(), entry.clone()));
        let lock = Lock {
            stages: BTreeMap::from(stages),
            ..Lock::default()
        };
        let text = lock.to_text().expect("it can be written");
        assert_eq!(read(&text), Some(lock));
        assert_eq!(
            read(&text.replace("[stage.z]", "<<<<<<< HEAD\n[stage.z]")),
            None
        );
    }
}
