//! The threads of a run: each sees to one stage after another. A thread of its own for every stage costs a fifth of what a
//! short stage takes.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use crate::error::Result;
use crate::threads;

/// Threads that wait for orders. They end when this is dropped and every order is done.
pub(super) struct ThreadPool<T> {
    orders: Sender<T>,
    waiting: Arc<Mutex<Receiver<T>>>,
    count: usize,
}

impl<T: Send> ThreadPool<T> {
    pub(super) fn new() -> Self {
        let (orders, waiting) = channel();
        Self {
            orders,
            waiting: Arc::new(Mutex::new(waiting)),
            count: 0,
        }
    }

    /// Has a thread do `work` on `order`: a new one if all of them are `busy`, or the first that is free if the system
    /// refuses a new one.
    ///
    /// # Errors
    /// If there is none and the system refuses one.
    pub(super) fn give<'s>(
        &mut self,
        scope: &'s Scope<'s, '_>,
        busy: usize,
        order: T,
        work: &(impl Fn(T) + Clone + Send + 's),
    ) -> Result<()>
    where
        T: 's,
    {
        if busy >= self.count {
            let (waiting, work) = (Arc::clone(&self.waiting), work.clone());
            let started = threads::start_in(scope, "stage", move || {
                while let Some(order) = next(&waiting) {
                    work(order);
                }
            });
            match started {
                Ok(_) => self.count += 1,
                Err(error) if self.count == 0 => return Err(error),
                Err(_) => {}
            }
        }
        // `waiting` lives as long as this.
        let _ = self.orders.send(order);
        Ok(())
    }
}

/// The next order, once there is one; none when no more will come.
fn next<T>(waiting: &Mutex<Receiver<T>>) -> Option<T> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}
