use super::*; pub fn read(_: &str, _: u16) -> Result<Reading, ReadError> { Ok(Reading::default()) }
