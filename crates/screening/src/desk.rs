//! The policy in force, and the budget that moves its threshold.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use domain::Score;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use policy::{Adjustment, Assessment, Controller, ControllerState, Policy, Shift, Subject};

use crate::facts::Facts;

/// How many earlier policies are kept at hand.
const SHELF_MAX: usize = 64;

/// The policy in force. A change takes effect between two transactions, never within one.
pub struct PolicyDesk {
    live: RwLock<Live>,
    /// Earlier policies by hash.
    shelf: Mutex<Shelf>,
}

struct Live {
    policy: Arc<Policy>,
    controller: Option<Controller>,
}

#[derive(Default)]
struct Shelf {
    policies: HashMap<String, Arc<Policy>>,
    /// Hashes in the order of arrival.
    order: VecDeque<String>,
}

/// A policy as one transaction meets it.
#[derive(Clone)]
pub struct InForce {
    policy: Arc<Policy>,
    shift: Shift,
}

impl InForce {
    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// How far its thresholds are moved.
    #[must_use]
    pub fn shift(&self) -> Shift {
        self.shift
    }

    pub(crate) fn assess(&self, facts: &Facts, screening: Score) -> Assessment {
        assess(&self.policy, facts, screening, self.shift)
    }
}

/// What a policy makes of a case.
pub(crate) fn assess(policy: &Policy, facts: &Facts, screening: Score, shift: Shift) -> Assessment {
    let instructed = !facts.derived.instructions.is_empty();
    let subject = Subject { transaction: &facts.transaction, facts, screening, instructed };
    policy.assess(&subject, shift)
}

impl PolicyDesk {
    /// Starts with this policy, its thresholds as they are written.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        let controller = policy.controller();
        let live = RwLock::new(Live { policy: Arc::clone(&policy), controller });
        let desk = Self { live, shelf: Mutex::new(Shelf::default()) };
        desk.shelve(policy);
        desk
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.live.read().policy)
    }

    /// What the budget's controller sees and does; `None` without a budget.
    #[must_use]
    pub fn budget(&self) -> Option<ControllerState> {
        self.live.read().controller.as_ref().map(Controller::state)
    }

    /// Brings another policy into force. A budget goes on from the shift it has reached.
    pub fn replace(&self, policy: Arc<Policy>) {
        let mut live = self.live.write();
        let reached = live.controller.as_ref().map(Controller::state);
        let controller = policy.controller().map(|controller| match &reached {
            Some(state) => controller.restored(state),
            None => controller,
        });
        *live = Live { policy: Arc::clone(&policy), controller };
        drop(live);
        self.shelve(policy);
    }

    pub(crate) fn in_force(&self) -> InForce {
        let live = self.live.read();
        let shift = live.controller.as_ref().map_or(Shift::ZERO, Controller::shift);
        InForce { policy: Arc::clone(&live.policy), shift }
    }

    /// Tells the controller of a transaction; the move that it made, if it made one.
    pub(crate) fn observe(
        &self,
        in_force: &InForce,
        assessment: &Assessment,
        screening: Score,
    ) -> Option<Adjustment> {
        in_force.policy.budget()?;
        let mut live = self.live.write();
        // The policy may have changed since; the transaction met another one then.
        if !Arc::ptr_eq(&live.policy, &in_force.policy) {
            return None;
        }
        live.controller.as_mut()?.observe(assessment.observation(screening), Timestamp::now())
    }

    /// A policy by its hash, if it was in use lately.
    pub(crate) fn on_the_shelf(&self, sha256: &str) -> Option<Arc<Policy>> {
        self.shelf.lock().policies.get(sha256).map(Arc::clone)
    }

    pub(crate) fn shelve(&self, policy: Arc<Policy>) {
        let mut shelf = self.shelf.lock();
        let sha256 = policy.reference().sha256.clone();
        if shelf.policies.insert(sha256.clone(), policy).is_none() {
            shelf.order.push_back(sha256);
        }
        if shelf.order.len() > SHELF_MAX
            && let Some(oldest) = shelf.order.pop_front()
        {
            shelf.policies.remove(&oldest);
        }
    }
}
