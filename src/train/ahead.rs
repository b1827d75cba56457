//! Batches that are made while the network works on the one before.

use std::panic;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Calls `work` with a function that gives what `make` makes of each of `jobs`, in their order.
///
/// `threads` threads of their own make them, each at most one ahead of its last one, so that memory stays bounded and a network that
/// waits for none of them is never kept from its own threads. What is made does not depend on how many there are; with none, it
/// is made when it is asked for.
///
/// # Panics
/// If `make` panics, and if more is asked for than there are jobs.
pub(super) fn ahead<J: Sync, T: Send, R>(
    jobs: &[J],
    threads: usize,
    make: impl Fn(&J) -> T + Sync,
    work: impl FnOnce(&mut dyn FnMut() -> T) -> R,
) -> R {
    let mut next = 0..jobs.len();
    let mut next = move || next.next().expect("a job is left");
    if threads == 0 {
        return work(&mut || make(&jobs[next()]));
    }
    let make = &make;
    thread::scope(|scope| {
        let makers = (0..threads).map(|first| {
            let (sender, receiver) = sync_channel(1);
            let maker = crate::threads::start_in(scope, "ahead", move || {
                for job in jobs.iter().skip(first).step_by(threads) {
                    // Nobody waits for the rest when the work has failed.
                    if sender.send(make(job)).is_err() {
                        break;
                    }
                }
            });
            // What a maker that the system refuses would have made is made when it is asked for.
            Some((receiver, Some(maker.ok()?)))
        });
        let mut makers: Vec<Option<(Receiver<T>, _)>> = makers.collect();
        let result = work(&mut || {
            let job = next();
            let Some((receiver, maker)) = &mut makers[job % threads] else {
                return make(&jobs[job]);
            };
            receiver.recv().unwrap_or_else(|_| {
                // The maker can only have gone because it panicked.
                let gone = maker.take().map(thread::ScopedJoinHandle::join);
                panic::resume_unwind(match gone {
                    Some(Err(payload)) => payload,
                    _ => Box::new("a batch was not made"),
                })
            })
        });
        // Makers that still want to hand something over see that nobody takes it.
        drop(makers);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::ahead;

    #[test]
    fn the_order_is_that_of_the_jobs_however_many_threads_there_are() {
        let jobs: Vec<usize> = (0..50).collect();
        for threads in [0, 1, 2, 3, 60] {
            let made = ahead(
                &jobs,
                threads,
                |job| job * job,
                |next| (0..50).map(|_| next()).collect::<Vec<_>>(),
            );
            assert!(
                made.iter()
                    .enumerate()
                    .all(|(job, made)| *made == job * job)
            );
        }
    }

    #[test]
    fn no_more_is_made_than_a_few_ahead() {
        let made = AtomicUsize::new(0);
        let jobs: Vec<usize> = (0..1000).collect();
        let count = |_: &usize| made.fetch_add(1, Ordering::SeqCst);
        ahead(&jobs, 2, count, |next| {
            for asked in 1..=100 {
                next();
                // Each of two threads: one in its channel, one in its hands.
                assert!(made.load(Ordering::SeqCst) <= asked + 4);
            }
        });
        assert!(made.load(Ordering::SeqCst) <= 104, "the rest is left");
    }

    #[test]
    #[should_panic(expected = "job 7 is bad")]
    fn a_maker_that_panics_is_heard() {
        let jobs: Vec<usize> = (0..10).collect();
        let make = |job: &usize| assert!(*job != 7, "job {job} is bad");
        ahead(&jobs, 2, make, |next| (0..10).for_each(|_| next()));
    }
}
