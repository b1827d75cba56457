//! Figures of a few embeddings, by hand.

use super::*;

fn pairs(members: usize, texts: &[u32]) -> Compared {
    Compared {
        members,
        texts: texts.to_vec(),
        scores: Vec::new(),
    }
}

fn is(report: &Report, name: &str, expected: f64) {
    let found = report.figures[name];
    assert!((found - expected).abs() < 1e-9, "{name} is {found}");
}

#[test]
fn texts_find_what_belongs_to_them() {
    // Text 0 belongs to 1 and 3, text 2 to 4; 3 is closest to 0, then 4, then 1.
    let outputs = [
        [1.0, 0.0], // 0
        [0.0, 1.0], // 1
        [1.0, 0.0], // 0
        [1.0, 0.1], // 3
        [0.0, 1.0], // 2
        [1.0, 1.0], // 4
    ];
    let outputs: Vec<f32> = outputs.concat();
    let report = report(&outputs, &pairs(2, &[0, 1, 0, 3, 2, 4]));
    // Text 0 finds 3, 4, 1; text 2 finds 1, 4, 3.
    is(&report, "accuracy@1", 0.5);
    is(&report, "accuracy@10", 1.0);
    is(&report, "mrr@10", f64::midpoint(1.0, 0.5));
    is(&report, "recall@1", 0.25);
    is(&report, "recall@5", 1.0);
    let third = 1.0 / 4.0_f64.log2();
    let second = 1.0 / 3.0_f64.log2();
    is(
        &report,
        "ndcg@10",
        f64::midpoint((1.0 + third) / (1.0 + second), second),
    );
    assert_eq!(report.details["queries"], 2);
    assert_eq!(report.details["documents"], 3);
    assert!(report.elsewhere.contains_key("spearman_cosine"));
    assert!(report.undefined.is_empty());
}

#[test]
fn negatives_are_documents_and_make_triplets() {
    let outputs = [[1.0, 0.0], [1.0, 1.0], [1.0, 0.2]].concat();
    let report = report(&outputs, &pairs(3, &[0, 1, 2]));
    is(&report, "cosine_accuracy", 0.0);
    is(&report, "mrr@10", 0.5);
}

#[test]
fn cosines_are_held_against_scores() {
    let outputs = [[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.0]].concat();
    let compared = Compared {
        scores: vec![1.0, 0.0],
        ..pairs(2, &[0, 1, 2, 3])
    };
    let report = report(&outputs, &compared);
    is(&report, "spearman_cosine", 1.0);
    is(&report, "pearson_cosine", 1.0);
    assert_eq!(report.figures.len(), 2);
}

#[test]
fn ten_of_many_are_found_the_first_of_equals_first() {
    let cosines: Vec<f32> = [0.5, 0.7, 0.5, 0.9].repeat(5);
    assert_eq!(closest_of(&cosines), [3, 7, 11, 15, 19, 1, 5, 9, 13, 17]);
}
