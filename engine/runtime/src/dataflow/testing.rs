//! What takes the place of timely in tests of operators.

use super::Hold;
use crate::flow::epoch::Epoch;
use std::rc::Rc;
use timely::progress::frontier::MutableAntichain;

/// A hold that knows whether anyone else has it too.
#[derive(Clone, Debug)]
pub(super) struct TestHold(Rc<Epoch>);

impl TestHold {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self(Rc::new(epoch))
    }

    /// How many others hold the epoch open.
    pub(super) fn others(&self) -> usize {
        Rc::strong_count(&self.0) - 1
    }
}

impl Hold for TestHold {
    fn epoch(&self) -> Epoch {
        *self.0
    }
}

/// Of two inputs, at which these epochs are the first that may still come.
pub(super) fn frontiers(epochs: [Epoch; 2]) -> [MutableAntichain<Epoch>; 2] {
    epochs.map(MutableAntichain::from_elem)
}
