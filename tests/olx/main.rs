//! Reading OLX exports: what a user gets from a directory or an archive, however it is made.

#![cfg(feature = "olx")]

mod hostile;
mod rules;
mod stores;
mod support;
