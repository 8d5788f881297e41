//! One entity's events in event time, with exact sums over any range.

use std::{collections::VecDeque, ops::Range};

use crate::kind::Mark;

pub(crate) const SECOND: i64 = 1000;
pub(crate) const HOUR: i64 = 3600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;
/// The windows' lengths in milliseconds, shortest first.
pub(crate) const WINDOWS: [i64; 4] = [HOUR, DAY, 7 * DAY, 30 * DAY];

/// Events per block of precomputed totals.
const BLOCK: u64 = 32;
/// The gap of an event whose peer has not occurred before.
const FIRST: u32 = u32::MAX;

/// One counted transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// Event time in milliseconds.
    pub(crate) at: i64,
    /// The amount in minor units.
    pub(crate) minor: i64,
    /// The other side.
    pub(crate) peer: Mark,
    /// Which transaction this is.
    pub(crate) transaction: Mark,
}

/// Exact totals of a range of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) sum: i128,
    pub(crate) squares: i128,
    pub(crate) max: i64,
}

impl Totals {
    fn of(minor: i64) -> Self {
        let wide = i128::from(minor);
        Self { sum: wide, squares: wide * wide, max: minor }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.squares += other.squares;
        self.max = self.max.max(other.max);
    }
}

/// The positions of the nested windows that end at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// One past the last event.
    pub(crate) end: usize,
    /// The first event of each window, as in [`WINDOWS`].
    pub(crate) starts: [usize; 4],
}

impl Bounds {
    pub(crate) fn h1(&self) -> Range<usize> {
        self.starts[0]..self.end
    }

    pub(crate) fn d30(&self) -> Range<usize> {
        self.starts[3]..self.end
    }
}

/// Where an event went, and how many of the oldest left for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) position: usize,
    /// Left because of their age.
    pub(crate) expired: usize,
    /// Left because there were too many.
    pub(crate) crowded_out: usize,
}

/// Events ordered by time, ties by arrival.
///
/// `gaps[i]` is how many places before `i` the same peer occurred last: 0 without a peer,
/// [`FIRST`] without an earlier occurrence. An event is the first of its peer in a range exactly
/// if its gap reaches past the range's start, so distinct peers are one pass over small integers,
/// and dropping old events changes no gap. Totals of each aligned block of events make a range's
/// sum and maximum a walk over whole blocks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    events: VecDeque<Event>,
    gaps: VecDeque<u32>,
    blocks: VecDeque<Totals>,
    /// How many events were ever dropped from the front; block `k` covers the events numbered
    /// `BLOCK * k` and on, counted from the very first.
    dropped: u64,
    /// Where the windows of the latest event in order start: where to look first next time.
    hints: [usize; 4],
}

impl Timeline {
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn newest(&self) -> Option<i64> {
        self.events.back().map(|event| event.at)
    }

    pub(crate) fn oldest(&self) -> Option<&Event> {
        self.events.front()
    }

    pub(crate) fn events(
        &self,
        range: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator {
        self.events.range(range)
    }

    pub(crate) fn position_of(&self, transaction: Mark) -> Option<usize> {
        self.events.iter().position(|event| event.transaction == transaction)
    }

    /// The windows that end at `at`, later events left out.
    pub(crate) fn bounds(&self, at: i64) -> Bounds {
        let end = self.seek(self.len(), at);
        let mut starts = self.hints;
        for (start, window) in starts.iter_mut().zip(WINDOWS) {
            *start = self.seek((*start).min(end), at - window);
        }
        Bounds { end, starts }
    }

    /// How many events lie at or before an instant. The nearer the guess the quicker: in a stream
    /// that is nearly in order the windows' edges hardly move from one event to the next.
    fn seek(&self, guess: usize, instant: i64) -> usize {
        let inside = |index: usize| self.events[index].at <= instant;
        let (mut low, mut high, mut stride) = (guess, guess, 1);
        while low > 0 && !inside(low - 1) {
            high = low - 1;
            low = high.saturating_sub(stride);
            stride *= 2;
        }
        while high < self.len() && inside(high) {
            low = high + 1;
            high = (low + stride).min(self.len());
            stride *= 2;
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            if inside(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Places an event, then lets go of what is older than `keep` milliseconds before the newest
    /// and of the oldest above `max_events`. `None` when the event itself is that old.
    pub(crate) fn insert(&mut self, event: Event, keep: i64, max_events: usize) -> Option<Placed> {
        let horizon = self.newest().map_or(event.at, |newest| newest.max(event.at)) - keep;
        if event.at <= horizon {
            return None;
        }
        let Bounds { end: position, starts } = self.bounds(event.at);
        if position == self.len() {
            self.hints = starts;
            self.append(event);
        } else {
            self.insert_between(position, event);
        }
        // Few at a time: each event expires once.
        let expired = self.events.iter().take_while(|event| event.at <= horizon).count();
        let crowded_out = (self.len() - expired).saturating_sub(max_events.max(1));
        self.drop_oldest(expired + crowded_out);
        Some(Placed { position, expired, crowded_out })
    }

    /// Takes an event out as if it had never been there.
    pub(crate) fn remove(&mut self, position: usize) {
        let Some(event) = self.events.remove(position) else {
            return;
        };
        let own_gap = self.gaps.remove(position).unwrap_or(0);
        let mut next_found = !event.peer.is_some();
        for index in position..self.events.len() {
            let gap = self.gaps[index];
            if gap == 0 || gap == FIRST {
                continue;
            }
            // Before the removal this event stood one place later.
            if !next_found && self.events[index].peer == event.peer {
                next_found = true;
                self.gaps[index] = if own_gap == FIRST { FIRST } else { gap + own_gap - 1 };
            } else if gap as usize > index - position {
                self.gaps[index] = gap - 1;
            }
        }
        self.rebuild_blocks(position);
    }

    /// Exact totals of a range.
    pub(crate) fn totals(&self, range: Range<usize>) -> Totals {
        let first_block = self.dropped / BLOCK;
        let mut totals = Totals::default();
        let mut index = range.start;
        while index < range.end {
            let number = self.dropped + index as u64;
            let next_block = ((number / BLOCK + 1) * BLOCK - self.dropped) as usize;
            if number.is_multiple_of(BLOCK) && next_block <= range.end {
                totals.add(self.blocks[(number / BLOCK - first_block) as usize]);
            } else {
                let partial = index..next_block.min(range.end);
                self.events.range(partial).for_each(|event| totals.add(Totals::of(event.minor)));
            }
            index = next_block;
        }
        totals
    }

    /// Distinct peers among a range's events from `since` on that do not occur earlier in the
    /// range. With `since` at the range's start: its distinct peers.
    pub(crate) fn newcomers(&self, range: Range<usize>, since: usize) -> u32 {
        let (front, back) = self.gaps.as_slices();
        let split = |index: usize| (index.min(front.len()), index.saturating_sub(front.len()));
        let ((front_start, back_start), (front_end, back_end)) = (split(since), split(range.end));
        let front_len = front_end - front_start;
        let offset = since - range.start;
        // Two plain slices, so that the comparison runs on vectors.
        reaching_past(&front[front_start..front_end], offset as u32)
            + reaching_past(&back[back_start..back_end], (offset + front_len) as u32)
    }

    fn append(&mut self, event: Event) {
        self.gaps.push_back(self.gap_before(self.len(), event.peer));
        self.events.push_back(event);
        if (self.dropped + self.len() as u64 - 1).is_multiple_of(BLOCK) {
            self.blocks.push_back(Totals::default());
        }
        if let Some(block) = self.blocks.back_mut() {
            block.add(Totals::of(event.minor));
        }
    }

    fn insert_between(&mut self, position: usize, event: Event) {
        let own_gap = self.gap_before(position, event.peer);
        self.events.insert(position, event);
        self.gaps.insert(position, own_gap);
        let mut next_found = !event.peer.is_some();
        for index in position + 1..self.events.len() {
            let gap = self.gaps[index];
            if !next_found && self.events[index].peer == event.peer {
                next_found = true;
                self.gaps[index] = (index - position) as u32;
            } else if gap != 0 && gap != FIRST && gap as usize >= index - position {
                self.gaps[index] = gap + 1;
            }
        }
        self.rebuild_blocks(position);
    }

    /// How far before `position` the peer occurred last.
    fn gap_before(&self, position: usize, peer: Mark) -> u32 {
        if !peer.is_some() {
            return 0;
        }
        let earlier = self.events.range(..position).rev().position(|event| event.peer == peer);
        earlier.map_or(FIRST, |distance| distance as u32 + 1)
    }

    fn drop_oldest(&mut self, count: usize) {
        let blocks_before = self.dropped / BLOCK;
        self.dropped += count as u64;
        self.events.drain(..count);
        self.gaps.drain(..count);
        self.hints = self.hints.map(|hint| hint.saturating_sub(count));
        let complete = (self.dropped / BLOCK - blocks_before) as usize;
        self.blocks.drain(..complete.min(self.blocks.len()));
    }

    /// Recomputes the totals of the blocks from `position` on.
    fn rebuild_blocks(&mut self, position: usize) {
        let first_block = self.dropped / BLOCK;
        let first_stale = (self.dropped + position as u64) / BLOCK;
        self.blocks.truncate((first_stale - first_block) as usize);
        let mut index = (first_stale * BLOCK).saturating_sub(self.dropped) as usize;
        while index < self.len() {
            let next_block = ((self.dropped + index as u64) / BLOCK + 1) * BLOCK - self.dropped;
            let end = (next_block as usize).min(self.len());
            let mut block = Totals::default();
            self.events.range(index..end).for_each(|event| block.add(Totals::of(event.minor)));
            self.blocks.push_back(block);
            index = end;
        }
    }
}

/// How many gaps reach past a range's start that lies `offset` places before the first of them.
fn reaching_past(gaps: &[u32], offset: u32) -> u32 {
    let reaches = |(index, gap): (usize, &u32)| u32::from(*gap > offset + index as u32);
    gaps.iter().enumerate().map(reaches).sum()
}
