use super::*; pub fn read(_: &str, _: u16, _: TableFamily) -> Result<Reading, ReadError> { Ok(Reading::default()) }
