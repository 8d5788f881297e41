//! `kill -9` at a random moment under load, over and over: what was answered must be there, what
//! was promised must come, once, and the chain must verify.

pub mod book;
pub mod client;
pub mod rounds;
pub mod service;
