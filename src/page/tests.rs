//! The page as a whole: what somebody else wrote stays text, and everything is said without a script.

use super::*;

/// A page on which everything that comes from outside is an attack.
#[expect(clippy::too_many_lines, reason = "each field of a page once")]
fn hostile() -> Page {
    let evil = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(1)>";
    let said = || evil.to_owned();
    let pair = || (said(), said());
    let figure = Figure {
        name: said(),
        value: 0.5,
        committed: Some(0.25),
        ..Figure::default()
    };
    let share = Share {
        value: said(),
        rows: 3,
    };
    let line = Line {
        name: said(),
        points: vec![(1.0, 0.5), (2.0, 0.25)],
    };
    let chart = Chart {
        title: said(),
        across: said(),
        lines: vec![line.clone(), line],
        best: Some(1),
        note: said(),
    };
    let column = Column {
        name: said(),
        holds: said(),
        shares: vec![share.clone()],
        ..Column::default()
    };
    let class = Class {
        label: said(),
        figures: vec![(said(), 0.5)],
    };
    let mistake = Mistake {
        row: 1,
        truth: said(),
        predicted: said(),
        text: said(),
        ..Mistake::default()
    };
    let stage = Stage {
        name: said(),
        kind: said(),
        reason: said(),
        ran_because: said(),
        standing: Standing::Failed,
        settings: vec![pair()],
        files: vec![pair()],
        inputs: vec![Input {
            port: said(),
            from: said(),
            digest: said(),
        }],
        outputs: vec![Output {
            port: said(),
            what: "a table",
            digest: said(),
            size: Some((1, 2)),
        }],
        figures: vec![figure.clone()],
        notices: vec![said()],
        curves: vec![chart.clone()],
        evaluation: Some(Evaluation {
            samples: 4,
            classes: vec![class.clone(), class],
            confusion: vec![vec![1, 1], vec![0, 2]],
            slices: vec![Slice {
                name: said(),
                samples: 1,
                figures: vec![figure.clone()],
            }],
            undefined: vec![said()],
            ..Evaluation::default()
        }),
        mistakes: Some(Mistakes {
            are_errors: false,
            worst: vec![mistake],
            wrong: 1,
            samples: 4,
        }),
        model: Some(Model {
            task: said(),
            labels: vec![said()],
            frozen: vec![said()],
            total: 4,
            ..Model::default()
        }),
        tables: vec![(
            said(),
            TableProfile {
                rows: 4,
                looked_at: 4,
                columns: vec![column],
                more_columns: 0,
            },
        )],
        images: vec![(
            said(),
            ImagesProfile {
                count: 3,
                size: (2, 2),
                labels: vec![share],
            },
        )],
        comparison: Some(Grid {
            columns: vec![(said(), false)],
            rows: vec![vec![said()]],
            left_out: 1,
        }),
        ..Stage::default()
    };
    let instance = |value: &str| Instance {
        values: vec![value.into()],
        figures: vec![figure.clone()],
        ..Instance::default()
    };
    Page {
        name: said(),
        file: said(),
        flags: said(),
        device: said(),
        params: vec![pair()],
        run: Some(Run {
            run: said(),
            revision: said(),
            failures: vec![pair()],
            notices: vec![said()],
            ..Run::default()
        }),
        stages: vec![stage],
        matrices: vec![Matrix {
            stage: said(),
            keys: vec![said()],
            instances: vec![instance(evil), instance("2")],
            headline: Some(said()),
            higher_is_better: true,
            curves: vec![chart],
        }],
        runs: vec![Earlier {
            run: said(),
            flags: said(),
            revision: said(),
            params: vec![pair()],
            outcome: said(),
            headline: Some((said(), vec![(said(), 0.5)])),
            ..Earlier::default()
        }],
        missing: vec![said()],
        ..Page::default()
    }
}

#[test]
fn what_somebody_else_wrote_stays_text() {
    let page = render(&hostile(), Keeping::Still);
    assert_eq!(page.matches("<script").count(), 1, "its own alone");
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(!page.contains("<img"), "no element of somebody else's");
    assert!(
        page.matches("&lt;script&gt;alert(1)").count() > 40,
        "it is there, as text"
    );
    // No attribute ends before its time.
    assert!(!page.contains("\"'&lt;") && !page.contains("\"'<"));
    assert!(is_page(page.as_bytes()));
    assert!(!is_page(
        b"<!DOCTYPE html><html lang=\"en\"><head><title>mine</title>"
    ));
}

#[test]
fn a_page_of_nothing_says_so() {
    let page = render(
        &Page {
            name: "empty".into(),
            ..Page::default()
        },
        Keeping::Still,
    );
    assert!(page.contains("No run of this file is known here."));
    assert!(page.contains("The pipeline has no stages."));
    assert!(!page.contains("connect-src"), "a file asks nobody");
    assert!(render(&Page::default(), Keeping::Fresh).contains("connect-src 'self'"));
}

#[test]
fn the_best_instance_is_told_by_the_direction_of_its_figure() {
    let instance = |value| Instance {
        figures: vec![Figure {
            name: "loss".into(),
            value,
            ..Figure::default()
        }],
        ..Instance::default()
    };
    let mut matrix = Matrix {
        headline: Some("loss".into()),
        instances: vec![
            instance(0.5),
            instance(f64::NAN),
            instance(0.25),
            Instance::default(),
        ],
        ..Matrix::default()
    };
    assert_eq!(matrix.ranked(), [2, 0, 1]);
    matrix.higher_is_better = true;
    assert_eq!(matrix.ranked(), [0, 2, 1]);
}
