//! Every task gives the same bits on any number of threads, and whatever was kept of its frozen layers before.

use super::Subject;
use crate::models::Modality;
use crate::stages::finetune::tests::interruption::all_of;

const PACE: &str = "epochs = 2\nlearning_rate = 0.003\n";

impl Subject {
    /// Tunes on so many threads, with nothing left of what was there before but what is kept in the store: the card and the weights, and
    /// how many samples went through the frozen layers.
    fn tune_on(&self, threads: usize) -> (Vec<u8>, u64) {
        std::fs::remove_file(self.bench.path("checkpoint")).ok();
        self.bench.events();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let tuned = pool.expect("a pool").install(|| self.tune(PACE, &|| false));
        let bits = tuned.unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        (all_of(&bits), self.bench.features_computed())
    }

    fn freeze(&self, card: &str) {
        if self.task.modality == Modality::Texts {
            self.bench.freeze(card);
        }
    }
}

#[test]
fn every_task_gives_the_same_bits_on_any_number_of_threads_and_whatever_was_kept() {
    for freeze in ["{}", r#"{"freeze": {"trainable_layers": 0}}"#] {
        for (one, other) in Subject::all().zip(Subject::all()) {
            let name = one.name();
            one.freeze(freeze);
            other.freeze(freeze);
            let (bits, _) = one.tune_on(1);
            let (more, kept) = other.tune_on(3);
            assert!(bits == more, "{name}: other bits on three threads");
            if kept > 0 {
                let (again, computed) = other.tune_on(3);
                assert_eq!(computed, 0, "{name}: what is kept is used");
                assert!(bits == again, "{name}: other bits with what was kept");
            }
        }
    }
}
