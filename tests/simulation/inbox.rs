//! The queue as SQS is: at least once, in any order, out of sight while somebody has a message, after five receipts in the
//! dead-letter queue, where nobody looks; and fair, if not always: who has much in hand waits for who has little.

use crate::dice::Dice;
use domain::message::Message;
use domain::tenant::Tenant;
use std::collections::BTreeMap;

/// Receipts after which a message is set aside.
const MOST_RECEIPTS: u32 = 5;
/// How long a message that was received is out of sight, in milliseconds.
const VISIBILITY: i64 = 300_000;

/// A message under way.
#[derive(Clone, Debug)]
struct Held {
    id: u64,
    message: Message,
    receipts: u32,
    visible_at: i64,
}

/// How a queue goes about it: so many times in a thousand each.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// A message arrives late.
    pub late: usize,
    /// A message that was received stays in sight, so that another worker gets it, too.
    pub twice: usize,
    /// A message is of the tenant that has the fewest in hand.
    pub fair: usize,
}

/// The queue.
#[derive(Debug)]
pub struct Inbox {
    habits: Habits,
    held: Vec<Held>,
    sent: u64,
    /// Messages that were set aside.
    pub dead: usize,
}

impl Inbox {
    pub fn new(habits: Habits) -> Self {
        Self { habits, held: Vec::new(), sent: 0, dead: 0 }
    }

    /// Takes in what was sent; some of it arrives late.
    pub fn put(&mut self, messages: Vec<Message>, now: i64, dice: &Dice) {
        for message in messages {
            let late = if dice.chance(self.habits.late) { dice.below(600_000) as i64 } else { 0 };
            self.sent += 1;
            self.held.push(Held { id: self.sent, message, receipts: 0, visible_at: now + late });
        }
    }

    /// Hands some visible messages to a worker.
    pub fn receive(&mut self, most: usize, now: i64, dice: &Dice) -> Vec<(u64, Message)> {
        let mut received = Vec::new();
        for _ in 0..most {
            let is_visible = |held: &&Held| held.visible_at <= now && received.iter().all(|(id, _)| *id != held.id);
            let mut visible: Vec<&Held> = self.held.iter().filter(is_visible).collect();
            if dice.chance(self.habits.fair) {
                let in_hand = self.in_hand(now);
                let of = |held: &&Held| in_hand.get(&held.message.tenant).copied().unwrap_or_default();
                let fewest = visible.iter().map(of).min();
                visible.retain(|held| Some(of(held)) == fewest);
            }
            let ids: Vec<u64> = visible.iter().map(|held| held.id).collect();
            let Some(id) = dice.one_of(&ids) else { break };
            let Some(at) = self.held.iter().position(|held| held.id == *id) else { break };
            let held = &mut self.held[at];
            held.receipts += 1;
            if held.receipts > MOST_RECEIPTS {
                self.held.remove(at);
                self.dead += 1;
                continue;
            }
            if !dice.chance(self.habits.twice) {
                held.visible_at = now + VISIBILITY;
            }
            received.push((held.id, held.message.clone()));
        }
        received
    }

    /// How many messages of each tenant workers have in hand.
    fn in_hand(&self, now: i64) -> BTreeMap<&Tenant, usize> {
        let mut in_hand = BTreeMap::new();
        for held in self.held.iter().filter(|held| held.receipts > 0 && held.visible_at > now) {
            *in_hand.entry(&held.message.tenant).or_default() += 1;
        }
        in_hand
    }

    /// Deletes what was handled.
    pub fn acknowledge(&mut self, id: u64) {
        self.held.retain(|held| held.id != id);
    }

    /// Shows what was not handled again, at once or when its time is over.
    pub fn give_back(&mut self, id: u64, now: i64) {
        if let Some(held) = self.held.iter_mut().find(|held| held.id == id) {
            held.visible_at = now;
        }
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
