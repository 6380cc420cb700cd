//! Every state that can be reached from some, each looked at once, the nearest first.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What an exploration has seen.
#[derive(Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
}

/// A broken promise, and the way there.
#[derive(Debug)]
pub struct Broken {
    /// The promise.
    pub why: String,
    /// The steps that led to it.
    pub way: Vec<String>,
}

/// A step that can be taken: what it is, and where it leads; or which promise it breaks.
pub type Step<S> = (String, Result<S, String>);

/// Explores all that can be reached from these states by `steps`; each new state is shown to `judge`. States are told apart by
/// 64 bits of their hash, as model checkers do: some million states meet with a chance of one in ten million.
pub fn explore<S: Clone + Hash>(
    from: Vec<S>,
    steps: impl Fn(&S) -> Vec<Step<S>>,
    mut judge: impl FnMut(&S) -> Result<(), String>,
) -> Result<Explored, Broken> {
    let mut explored = Explored::default();
    // How each state was come to first: the state before, and the step.
    let mut known: HashMap<u64, (u64, String)> = HashMap::new();
    let mut open = VecDeque::new();
    let begin = from.into_iter().map(|state| (hash(&state), state)).collect::<Vec<_>>();
    for (mark, state) in begin {
        judge(&state).map_err(|why| Broken { why, way: Vec::new() })?;
        known.insert(mark, (mark, String::new()));
        open.push_back((mark, state));
    }
    while let Some((mark, state)) = open.pop_front() {
        explored.states += 1;
        for (name, next) in steps(&state) {
            explored.steps += 1;
            let broken = |why| Broken { why, way: way(&known, mark, &name) };
            let next = next.map_err(broken)?;
            let next_mark = hash(&next);
            if known.contains_key(&next_mark) {
                continue;
            }
            judge(&next).map_err(broken)?;
            known.insert(next_mark, (mark, name));
            open.push_back((next_mark, next));
        }
    }
    Ok(explored)
}

fn hash(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// The steps to a state, and one more.
fn way(known: &HashMap<u64, (u64, String)>, mut mark: u64, last: &str) -> Vec<String> {
    let mut way = vec![last.to_owned()];
    while let Some((before, step)) = known.get(&mark).filter(|(before, _)| *before != mark) {
        way.push(step.clone());
        mark = *before;
    }
    way.reverse();
    way
}
