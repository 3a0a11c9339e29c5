-- Written in Rust: src/process/clock.rs.
comment on function tasker.clock() is
  'The engine''s present time: tasker.fake_now where the session has one (superusers only, for tests), else clock_timestamp().';
