//! The client against engines that behave, misbehave, and differ, over real sockets.

mod bad;
mod behaved;
mod dialects;
mod limits;
mod probing;
mod stub;
