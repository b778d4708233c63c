//! Tests the built program as people use it: its commands, whole runs, runs that are killed, the hub, and the docs. In one
//! program of tests, so that all cores have something to do while a test waits.

mod cli;
mod docs;
mod hub;
mod resume;
mod run;
