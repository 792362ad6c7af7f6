//! Names that a connection mentions by number.

use portcullis_model::{EntityUid, ErrorCode, Refusal};
use portcullis_wire::frames::{RegisterV1, RegisteredV1};
use portcullis_wire::limits::{NAME_BYTES_PER_CONNECTION_MAX, NAMES_PER_CONNECTION_MAX};

/// The names of one connection, in the order in which they were registered; none is ever taken back.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<EntityUid>,
    bytes: usize,
}

impl Names {
    /// Numbers the names of one frame, all or none.
    pub(crate) fn register(&mut self, frame: &RegisterV1) -> Result<RegisteredV1, Refusal> {
        let bytes = frame.names.iter().map(String::len).sum::<usize>();
        let fits = self.names.len() + frame.names.len() <= NAMES_PER_CONNECTION_MAX
            && self.bytes + bytes <= NAME_BYTES_PER_CONNECTION_MAX;
        if !fits {
            let words = "no more names are registered on this connection: send them as text";
            return Err(Refusal::of_field(ErrorCode::TooLarge, "names", words));
        }
        let parsed = frame.names.iter().map(|name| name.parse::<EntityUid>()).collect::<Result<Vec<_>, _>>();
        let parsed = parsed.map_err(|error| Refusal::of_field(ErrorCode::BadRequest, "names", error.to_string()))?;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let registered = RegisteredV1 { first: number(self.names.len()), count: number(parsed.len()) };
        self.names.extend(parsed);
        self.bytes += bytes;
        Ok(registered)
    }

    /// The name of a number; `field` is what to call it in the refusal.
    #[inline]
    pub(crate) fn find(&self, number: u32, field: &'static str) -> Result<&EntityUid, Refusal> {
        let name = usize::try_from(number).ok().and_then(|index| self.names.get(index));
        name.ok_or_else(|| {
            Refusal::of_field(ErrorCode::BadRequest, field, format!("no name was registered as number `{number}`"))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn frame(names: &[&str]) -> RegisterV1 {
        RegisterV1 { names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn names_are_numbered_in_order_and_a_faulty_frame_registers_none() {
        let mut names = Names::default();
        assert_eq!(names.register(&frame(&["A::a", "B::b"])), Ok(RegisteredV1 { first: 0, count: 2 }));
        let refusal = names.register(&frame(&["C::c", "no name"])).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_deref()), (ErrorCode::BadRequest, Some("names")));
        assert_eq!(names.register(&frame(&["D::d"])), Ok(RegisteredV1 { first: 2, count: 1 }));
        assert_eq!(names.find(2, "action").unwrap().to_string(), "D::\"d\"");
        assert_eq!(names.find(3, "action").unwrap_err().field.as_deref(), Some("action"));
        assert!(names.find(u32::MAX, "resource").is_err());
    }

    #[test]
    fn names_are_bounded_in_number_and_bytes() {
        let mut names = Names::default();
        let many: Vec<_> = (0..256).map(|number| format!("A::a{number}")).collect();
        for _ in 0..NAMES_PER_CONNECTION_MAX / 256 {
            names.register(&RegisterV1 { names: many.clone() }).unwrap();
        }
        assert_eq!(names.register(&frame(&["A::a"])).unwrap_err().code, ErrorCode::TooLarge);
        let mut names = Names::default();
        let long = format!("A::{}", "a".repeat(500));
        let accepted = (0..20_000).filter(|_| names.register(&frame(&[&long])).is_ok()).count();
        assert_eq!(accepted, NAME_BYTES_PER_CONNECTION_MAX / long.len());
    }
}
