//! Random graphs, run by something that only pretends to: whatever fails, panics, is stopped or is equal, a run ends, and every
//! stage of it has come to exactly one end, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::config::{self, Overrides};
use crate::error::Source;
use crate::event::Sink;
use crate::plan::{Goal, Plan};
use crate::store::Store;

/// What becomes of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    Unkept,
    Fails,
    Panics,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Good),
        1 => Just(Fate::Unkept),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Panics),
    ]
}

/// Runs nothing, but notices everything.
struct Mock {
    fates: Vec<Fate>,
    running: AtomicUsize,
    most: AtomicUsize,
    begun: Mutex<Vec<usize>>,
    stop_after: usize,
}

impl Mock {
    fn is_stopped(&self) -> bool {
        self.begun.lock().expect("not poisoned").len() >= self.stop_after
    }
}

fn index_of(name: &str) -> usize {
    name[1..].parse().expect("a number")
}

/// What the stage with this key makes.
fn output(key: &Digest) -> Digest {
    Digest::of(key.as_bytes())
}

impl Runner for Mock {
    fn run(&self, task: &Task<'_>, around: &Surroundings<'_>) -> Result<Made, Failure> {
        let index = index_of(&task.node.name);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.begun.lock().expect("not poisoned").push(index);
        std::thread::yield_now();
        self.running.fetch_sub(1, Ordering::SeqCst);
        if around.cancellation.stop() {
            return Err(Error::new(Kind::Interrupted, "interrupted").into());
        }
        let fate = self.fates[index];
        assert!(fate != Fate::Panics, "as it was meant to");
        if fate == Fate::Fails {
            return Err(Error::stage("as it was meant to").into());
        }
        let key = Digest::from(task.fingerprint.digest());
        let record = Record {
            key,
            kind: task.node.kind.name().into(),
            explanation: task.fingerprint.explanation().into_iter().collect(),
            outputs: BTreeMap::from([("o".into(), output(&key))]),
            metrics: BTreeMap::new(),
            seconds: 0.0,
            finished_at: jiff::Timestamp::UNIX_EPOCH,
            bytes: 0,
        };
        let kept = fate == Fate::Good;
        Ok(Made { record, kept })
    }
}

/// A graph of commands; those of one class with the same inputs have the same key.
fn pipeline(needs: &[BTreeSet<usize>], classes: &[u8], cpus: &[usize]) -> String {
    let mut text = String::new();
    for (index, needs) in needs.iter().enumerate() {
        let inputs: Vec<String> = needs
            .iter()
            .map(|need| format!("i{need} = \"s{need}\""))
            .collect();
        let _ = write!(
            text,
            "[stage.s{index}]\nkind = \"command\"\nargv = [\"{}\"]\ninputs = {{ {} }}\noutputs = {{ o = \"o\" }}\n\
             resources = {{ cpus = {} }}\n",
            classes[index],
            inputs.join(", "),
            cpus[index],
        );
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_stage_of_a_run_comes_to_one_end(
        needs in proptest::collection::vec(proptest::collection::btree_set(0usize..16, 0..3), 1..16),
        classes in proptest::collection::vec(0u8..3, 16),
        cpus in proptest::collection::vec(1usize..4, 16),
        fates in proptest::collection::vec(fate(), 16),
        jobs in 1usize..4,
        keep_going in any::<bool>(),
        stop_after in 0usize..40,
    ) {
        let needs: Vec<BTreeSet<usize>> = needs
            .iter()
            .enumerate()
            .map(|(index, needs)| needs.iter().copied().filter(|need| *need < index).collect())
            .collect();
        let text = pipeline(&needs, &classes, &cpus);
        let source = Arc::new(Source::new("p.toml", text));
        let pipeline = config::parse(&source, &Overrides::default()).expect("valid");
        let plan = Plan::new(&pipeline).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let decider = Decider::new(&plan, &store, "none", Last::new());
        let mock = Mock {
            fates,
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            begun: Mutex::default(),
            stop_after,
        };
        let events = Mutex::new(Vec::new());
        let sink = |event: &Event| events.lock().expect("not poisoned").push(event.clone());
        let stop = || mock.is_stopped();
        let around = Surroundings {
            store: &store,
            events: &sink as &dyn Sink,
            cancellation: &stop,
            device: "cpu",
            offline: true,
        };
        let selection = plan.select(&Goal::default()).expect("all");
        let options = RunOptions { force: false, keep_going, jobs };
        let summary = Run::new(&decider, &mock, around, &selection, options).go().expect("it begins");

        let begun = mock.begun.into_inner().expect("not poisoned");
        let distinct: BTreeSet<usize> = begun.iter().copied().collect();
        prop_assert_eq!(distinct.len(), begun.len(), "a stage ran twice");
        prop_assert!(mock.most.into_inner() <= jobs);
        let ended = events.into_inner().expect("not poisoned").into_iter().filter_map(|event| match event {
            Event::StageFinished { stage, outcome, .. } => Some((stage, outcome)),
            _ => None,
        });
        let mut ends: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        for (stage, outcome) in ended {
            ends.entry(stage).or_default().push(outcome);
        }
        for (index, node) in plan.nodes.iter().enumerate() {
            let told = ends.remove(&node.name).unwrap_or_default();
            prop_assert_eq!(told.as_slice(), summary.outcomes[index].as_slice(), "{}", node.name);
            prop_assert_eq!(told.len(), 1, "{}", node.name);
            let good = |outcome: Option<Outcome>| matches!(outcome, Some(Outcome::Ran | Outcome::Cached));
            let needs_are_good = node.inputs.iter().all(|edge| good(summary.outcomes[edge.from]));
            prop_assert!(needs_are_good || !begun.contains(&index_of(&node.name)));
            prop_assert_eq!(good(summary.outcomes[index]), summary.results[index].is_some());
            if keep_going && stop_after >= 16 && needs_are_good {
                prop_assert!(summary.outcomes[index] != Some(Outcome::Skipped), "{} was left out", node.name);
            }
        }
    }
}

#[test]
fn a_port_that_leads_out_becomes_no_path() {
    let text = pipeline(&[BTreeSet::new()], &[0], &[1]);
    let source = Arc::new(Source::new("p.toml", text));
    let pipeline = config::parse(&source, &Overrides::default()).expect("valid");
    let mut plan = Plan::new(&pipeline).expect("valid");
    plan.nodes[0].outputs[0].port = "../../../stolen".into();
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("a/b/cache")).expect("a store");
    let decider = Decider::new(&plan, &store, "none", Last::new());
    let around = Surroundings {
        store: &store,
        events: &|_: &Event| {},
        cancellation: &|| false,
        device: "cpu",
        offline: true,
    };
    let task = Task {
        node: &plan.nodes[0],
        inputs: BTreeMap::new(),
        fingerprint: decider
            .fingerprint(0, |_| Digest::from([0; 32]))
            .expect("known"),
        share: Share::default(),
        timeout: None,
        times: BTreeMap::new(),
    };
    let Err(Failure::Failed(error)) = InProcess.run(&task, &around) else {
        panic!("it must fail");
    };
    assert!(error.message().contains("plain relative path"), "{error}");
}
