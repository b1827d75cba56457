//! Splits of small tables and of real reviews.

use std::collections::BTreeSet;

use super::*;
use crate::error::Kind;
use crate::needs;
use crate::stages::bench::{Bench, Made, place, table};

fn split(rows: &Table, settings: &str, seed: u64) -> Result<Made> {
    let settings = format!("kind = 'split'\ntable = 'x'\n{settings}");
    Bench::new().run(&settings, &[(TABLE, rows)], seed)
}

fn refusal(settings: &str) -> Error {
    Bench::new().refusal(&format!("kind = 'split'\ntable = 'x'\n{settings}"))
}

/// 100 rows: `id` 0 to 99, `label` a (75) or b (25), `patient` 0 to 19.
fn hundred() -> Table {
    let mut text = "id,label,patient\n".to_owned();
    for id in 0..100 {
        let label = if id % 4 == 0 { "b" } else { "a" };
        text += &[&id.to_string(), label, &(id / 5).to_string()].join(",");
        text += "\n";
    }
    table(&text)
}

fn ids(made: &Made, part: &str, column: &str) -> Vec<String> {
    let values = made.table(part).as_text(column).expect("a column");
    values.into_iter().flatten().collect()
}

const THREE: &str = "parts = { train = 0.8, validation = 0.1, test = 0.1 }\n";
const NAMES: [&str; 3] = ["train", "validation", "test"];

#[test]
fn every_row_is_in_one_part_in_its_order() {
    let made = split(&hundred(), THREE, 1).expect("split");
    let parts = NAMES.map(|name| ids(&made, name, "id"));
    assert_eq!(parts.each_ref().map(Vec::len), [80, 10, 10]);
    for part in &parts {
        assert!(part.is_sorted_by_key(|id| id.parse::<u32>().expect("a number")));
    }
    let all: BTreeSet<_> = parts.iter().flatten().collect();
    assert_eq!(all.len(), 100);
    assert_eq!(made.notices, Vec::<String>::new());
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let [one, again, other] = [1, 1, 2].map(|seed| split(&hundred(), THREE, seed).expect("split"));
    assert_eq!(one.bytes("train"), again.bytes("train"));
    assert_ne!(one.bytes("train"), other.bytes("train"));
}

#[test]
fn classes_are_spread_alike() {
    let settings = format!("{THREE}stratify = 'label'");
    let made = split(&hundred(), &settings, 1).expect("split");
    let of_b = |part: &str| {
        ids(&made, part, "label")
            .iter()
            .filter(|label| *label == "b")
            .count()
    };
    assert_eq!(of_b("train"), 20);
    assert_eq!(of_b("validation") + of_b("test"), 5);
    assert!(of_b("test").abs_diff(of_b("validation")) == 1);
}

#[test]
fn groups_stay_together() {
    let settings = format!("{THREE}group = 'patient'");
    let made = split(&hundred(), &settings, 1).expect("split");
    let groups = NAMES.map(|name| {
        ids(&made, name, "patient")
            .into_iter()
            .collect::<BTreeSet<_>>()
    });
    assert_eq!(groups.iter().map(BTreeSet::len).sum::<usize>(), 20);
    assert_eq!(made.table("train").rows(), 80);
}

#[test]
fn a_new_row_moves_no_other_row_when_split_by_value() {
    let settings = format!("{THREE}by = 'id'");
    let before = split(&hundred(), &settings, 5).expect("split");
    let more = hundred();
    let mut text = "id,label,patient\nnew,a,77\n".to_owned();
    for row in 0..more.rows() {
        let cell = |name| {
            more.as_text(name).expect("a column")[row]
                .clone()
                .expect("a value")
        };
        text += &[cell("id"), cell("label"), cell("patient")].join(",");
        text += "\n";
    }
    let after = split(&table(&text), &settings, 5).expect("split");
    for part in NAMES {
        let after: Vec<_> = ids(&after, part, "id")
            .into_iter()
            .filter(|id| id != "new")
            .collect();
        assert_eq!(ids(&before, part, "id"), after, "{part}");
    }
}

#[test]
fn without_a_shuffle_parts_follow_each_other() {
    let made = split(&hundred(), &format!("{THREE}shuffle = false"), 1).expect("split");
    let expected: Vec<_> = (80..90).map(|id| id.to_string()).collect();
    assert_eq!(ids(&made, "validation", "id"), expected);
}

#[test]
fn an_empty_part_is_an_error_with_its_share_and_counts() {
    let rows = table("a\n1\n2\n3\n4\n");
    let error = split(&rows, THREE, 1).expect_err("too few rows");
    assert_eq!(error.kind(), Kind::Stage);
    assert_eq!(
        error.message(),
        "part `test` is empty: its share is 0.1 of 4 rows"
    );
    assert_eq!(
        error.notes(),
        ["rows of the parts: train 3, validation 1, test 0"]
    );
    assert_eq!(place(&error), "0.1");
}

#[test]
fn missing_columns_and_values_are_named() {
    let error = split(&hundred(), &format!("{THREE}stratify = 'lable'"), 1).expect_err("no column");
    assert_eq!(error.message(), "the table has no column `lable`");
    assert_eq!(error.help_text(), Some("did you mean `label`?"));
    assert_eq!(place(&error), "'lable'");
    let rows = table("a,b\n1,x\n2,\n");
    let error = split(&rows, "parts = { all = 1.0 }\ngroup = 'b'", 1).expect_err("null");
    assert_eq!(error.message(), "row 2 has no value in column `b`");
}

#[test]
fn copies_in_different_parts_are_reported() {
    let rows = table("text,n\na,1\nb,2\na,1\nb,3\n");
    let halves = "parts = { one = 0.5, two = 0.5 }\nshuffle = false\n";
    let made = split(&rows, halves, 1).expect("split");
    assert_eq!(
        made.notices,
        [
            "2 rows are copies of each other (1 different ones) in more than one part, such as row 1 in `one` and row 3 in `two`; \
          `group` keeps equal values of a column together"
        ]
    );
    let made = split(&rows, &format!("{halves}duplicates_by = ['text']"), 1).expect("split");
    assert!(made.notices[0].starts_with("4 rows are copies of each other (2 different ones)"));
}

#[test]
fn classes_that_a_part_lacks_are_reported() {
    let rows = table("y\na\na\na\na\nb\na\n");
    let settings = "parts = { one = 0.5, two = 0.5 }\nstratify = 'y'";
    let made = split(&rows, settings, 1).expect("split");
    let notice = made
        .notices
        .iter()
        .find(|notice| notice.contains("lacks"))
        .expect("a notice");
    assert!(
        notice.ends_with("lacks 1 of 2 classes of `y`, which have too few rows: b"),
        "{notice}"
    );
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let error = refusal("parts = { train = 0.8, test = 0.1 }");
    assert!(
        error
            .message()
            .starts_with("the shares of `parts` sum to 0.9"),
        "{}",
        error.message()
    );
    assert_eq!(error.kind(), Kind::Usage);
    let error = refusal("parts = { train = 1.2, test = -0.2 }");
    assert_eq!(
        (error.message(), place(&error)),
        (
            "the share of part `train` must be above 0 and at most 1",
            "1.2"
        )
    );
    let error = refusal("parts = { 'a.b' = 1.0 }");
    assert_eq!(error.message(), "`a.b` cannot be the name of a part");
    let error = refusal("parts = { train = 'most' }");
    assert_eq!(place(&error), "'most'");
    let error = refusal(&format!("{THREE}stratify = 'a'\ngroup = 'b'"));
    assert_eq!(
        error.message(),
        "`stratify` and `group` cannot be used together"
    );
    assert_eq!(error.labels().len(), 2);
    let error = refusal(&format!("{THREE}by = 'a'\nshuffle = true"));
    assert_eq!(error.message(), "`shuffle` means nothing with `by`");
}

#[test]
fn so_many_rows_a_label_are_the_first_of_one_order() {
    let few = |count: u32, seed| {
        let settings = format!(
            "parts = {{ few = {{ per_label = {count} }}, test = 0.2 }}\nstratify = 'label'"
        );
        split(&hundred(), &settings, seed).expect("split")
    };
    let [eight, fifteen, other] = [few(8, 1), few(15, 1), few(8, 2)];
    let of = |made: &Made| ids(made, "few", "id").into_iter().collect::<BTreeSet<_>>();
    assert_eq!((of(&eight).len(), of(&fifteen).len()), (16, 30));
    assert!(of(&eight).is_subset(&of(&fifteen)));
    assert_ne!(of(&eight), of(&other));
    let labels = ids(&eight, "few", "label");
    assert_eq!(labels.iter().filter(|label| *label == "b").count(), 8);
    assert_eq!(eight.bytes("few"), few(8, 1).bytes("few"));
    // The share has the rows that it has without the budget.
    assert_eq!(eight.bytes("test"), fifteen.bytes("test"));
    let shares = "parts = { few = 0.8, test = 0.2 }\nstratify = 'label'";
    let shares = split(&hundred(), shares, 1).expect("split");
    assert_eq!(eight.bytes("test"), shares.bytes("test"));
    assert_eq!(
        eight.notices,
        [
            "64 of 100 rows are in no part: the parts have so many of each label, and shares of all rows"
        ]
    );
}

#[test]
fn several_parts_may_have_so_many_rows_a_label() {
    let settings = "parts = { few = { per_label = 2 }, more = { per_label = 3 } }\nstratify = 'label'\nshuffle = false";
    let made = split(&hundred(), settings, 1).expect("split");
    assert_eq!(ids(&made, "few", "id"), ["0", "1", "2", "4"]);
    assert_eq!(ids(&made, "more", "id"), ["3", "5", "6", "8", "12", "16"]);
}

#[test]
fn a_label_with_fewer_rows_than_asked_for_is_named() {
    let settings = "parts = { few = { per_label = 26 } }\nstratify = 'label'";
    let error = split(&hundred(), settings, 1).expect_err("too few");
    assert_eq!(error.kind(), Kind::Stage);
    assert_eq!(
        error.message(),
        "label `b` in column `label` has 25 rows, but part `few` is to have 26 of each label"
    );
    assert_eq!(place(&error), "{ per_label = 26 }");
    let settings = "parts = { few = { per_label = 21 }, test = 0.2 }\nstratify = 'label'";
    let error = split(&hundred(), settings, 1).expect_err("too few");
    assert_eq!(
        error.message(),
        "label `b` in column `label` has 25 rows, 20 of them beside the other parts, but part `few` is to have 21 of each label"
    );
}

#[test]
fn so_many_rows_a_label_need_labels_and_something_left() {
    let refused = |parts: &str, rest: &str| refusal(&format!("parts = {{ {parts} }}\n{rest}"));
    let error = refused("few = { per_label = 8 }", "");
    assert_eq!(
        (error.message(), error.help_text(), place(&error)),
        (
            "`per_label` needs the column of the labels",
            Some("name it with `stratify`"),
            "{ per_label = 8 }"
        )
    );
    for way in ["group", "by"] {
        let error = refused("few = { per_label = 8 }", &format!("{way} = 'patient'"));
        assert_eq!(
            error.message(),
            format!("`per_label` and `{way}` cannot be used together")
        );
        assert_eq!(error.labels().len(), 2);
    }
    let stratify = "stratify = 'label'";
    let error = refused("few = { per_label = 8 }, test = 1.0", stratify);
    assert_eq!(
        error.message(),
        "the shares of `parts` sum to 1, which leaves no row for part `few`"
    );
    let error = refused("few = { per_label = 0 }", stratify);
    assert_eq!(
        error.message(),
        "`per_label` of part `few` must be 1 or more"
    );
    let error = refused("few = { per_label = 2.5 }", stratify);
    assert_eq!(place(&error), "2.5");
    let error = refused("few = { per_labels = 8 }", stratify);
    assert_eq!(error.message(), "unknown key `per_labels`");
    assert_eq!(error.help_text(), Some("did you mean `per_label`?"));
    let error = refused("few = {}", stratify);
    assert_eq!(error.message(), "missing key `per_label`");
}

#[test]
fn shares_enter_the_key_as_before() {
    let written = |parts: &str| {
        let settings = format!("kind = 'split'\ntable = 'x'\nstratify = 'y'\nparts = {parts}");
        let mut walk = crate::fingerprint::Walk::new("split", 1);
        let stage = Bench::new().parse(&settings).expect("parsed");
        stage.describe(&mut walk);
        let fingerprint = walk.finish(1, None);
        let parts = fingerprint.value(crate::fingerprint::Role::Setting, "parts");
        parts.expect("it enters").to_owned()
    };
    let shares = written("{ train = 0.75, test = 0.25 }");
    assert_eq!(shares, r#"[["train",0.75],["test",0.25]]"#);
    let few = written("{ few = { per_label = 8 }, test = 0.25 }");
    assert_eq!(few, r#"[["few",{"per_label":8}],["test",0.25]]"#);
}

#[test]
fn parts_keep_the_order_of_the_file() {
    let bench = Bench::new();
    let settings =
        "kind = 'split'\ntable = 'x'\nparts = { train = 0.5, dev = 0.25, all_rest = 0.25 }";
    let stage = bench.parse(settings).expect("parsed");
    let names: Vec<_> = stage
        .outputs()
        .into_iter()
        .map(|output| output.port)
        .collect();
    assert_eq!(names, ["train", "dev", "all_rest"]);
}

#[test]
#[ignore = "needs shared data"]
fn restaurant_reviews_keep_their_balance() {
    let Some(path) = needs::shared("restaurant-reviews/Restaurant_Reviews.tsv") else {
        return;
    };
    let bench = Bench::new();
    let dataset = format!(
        "kind = 'dataset'\nsource = '{}'\nquote = ''",
        path.display()
    );
    let rows = bench.run(&dataset, &[], 0).expect("read").table("table");
    let settings = "parts = { train = 0.8, test = 0.2 }\nstratify = 'Liked'";
    let made = split(&rows, settings, 42).expect("split");
    let liked = |part: &str| {
        ids(&made, part, "Liked")
            .iter()
            .filter(|label| *label == "1")
            .count()
    };
    assert_eq!((made.table("train").rows(), liked("train")), (800, 400));
    assert_eq!((made.table("test").rows(), liked("test")), (200, 100));
}
