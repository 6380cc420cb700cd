//! The queue as SQS is: at least once, in any order, out of sight while somebody has a message, and after five receipts in
//! the dead-letter queue, where nobody looks.

use crate::dice::Dice;
use domain::message::Message;

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

/// The queue.
#[derive(Debug, Default)]
pub struct Inbox {
    held: Vec<Held>,
    sent: u64,
    /// Messages that were set aside.
    pub dead: usize,
}

impl Inbox {
    /// Takes in what was sent; some of it arrives late.
    pub fn put(&mut self, messages: Vec<Message>, now: i64, dice: &Dice) {
        for message in messages {
            let late = if dice.chance(50) { dice.below(600_000) as i64 } else { 0 };
            self.sent += 1;
            self.held.push(Held { id: self.sent, message, receipts: 0, visible_at: now + late });
        }
    }

    /// Hands some visible messages to a worker; now and then leaves one in sight, so that another worker gets it, too.
    pub fn receive(&mut self, most: usize, now: i64, dice: &Dice) -> Vec<(u64, Message)> {
        let mut received = Vec::new();
        for _ in 0..most {
            let visible = |held: &&Held| held.visible_at <= now && received.iter().all(|(id, _)| *id != held.id);
            let ids: Vec<u64> = self.held.iter().filter(visible).map(|held| held.id).collect();
            let Some(id) = dice.one_of(&ids) else { break };
            let Some(at) = self.held.iter().position(|held| held.id == *id) else { break };
            let held = &mut self.held[at];
            held.receipts += 1;
            if held.receipts > MOST_RECEIPTS {
                self.held.remove(at);
                self.dead += 1;
                continue;
            }
            if !dice.chance(80) {
                held.visible_at = now + VISIBILITY;
            }
            received.push((held.id, held.message.clone()));
        }
        received
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

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
