//! Types in short, and values in the one form in which they are compared.
//!
//! A type is a name (`"string"`, `"long"`, `"decimal(9, 2)"`), an object of fields (a struct), `[type]` (a list) or
//! `{"*": type}` (a map from string).

use serde_json::{Map, Value};

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// An Iceberg primitive.
    Plain(String),
    /// Fields by name.
    Struct(Vec<(String, Type)>),
    /// A list.
    List(Box<Type>),
    /// A map from string.
    Map(Box<Type>),
}

impl Type {
    /// Reads the short form.
    pub fn read(short: &Value) -> Self {
        match short {
            Value::String(name) => Self::Plain(name.clone()),
            Value::Array(element) => Self::List(Box::new(Self::read(&element[0]))),
            Value::Object(map) if map.contains_key("*") => Self::Map(Box::new(Self::read(&map["*"]))),
            Value::Object(fields) => Self::Struct(fields.iter().map(|(n, t)| (n.clone(), Self::read(t))).collect()),
            other => panic!("{other} is no type"),
        }
    }

    /// A field of a struct.
    pub fn field(&self, name: &str) -> Option<&Type> {
        let Self::Struct(fields) = self else { return None };
        fields.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }
}

/// A value in the form in which values are compared: fields of structs that are null are absent, times are in UTC with six
/// digits, doubles are doubles. Entries of maps and items of lists stay, null or not.
pub fn normal(kind: &Type, value: &Value) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        (Type::Struct(fields), Value::Object(object)) => {
            let unknown = object.keys().find(|name| kind.field(name).is_none());
            assert_eq!(unknown, None, "{value} is no {kind:?}");
            let given = fields.iter().filter_map(|(name, t)| Some((name.clone(), normal(t, object.get(name)?))));
            Value::Object(given.filter(|(_, v)| !v.is_null()).collect::<Map<_, _>>())
        }
        (Type::List(of), Value::Array(items)) => items.iter().map(|item| normal(of, item)).collect(),
        (Type::Map(of), Value::Object(object)) => {
            Value::Object(object.iter().map(|(key, v)| (key.clone(), normal(of, v))).collect())
        }
        (Type::Plain(name), value) => plain(name, value),
        _ => panic!("{value} is no {kind:?}"),
    }
}

fn plain(name: &str, value: &Value) -> Value {
    match name {
        "timestamptz" => format_micros(micros(value).unwrap()).into(),
        "float" | "double" => value.as_f64().unwrap().into(),
        "int" | "long" => value.as_i64().unwrap().into(),
        "boolean" => value.as_bool().unwrap().into(),
        _ => value.as_str().unwrap().into(),
    }
}

/// An RFC 3339 time in microseconds since 1970; `None` for null.
pub fn micros(value: &Value) -> Option<i64> {
    if value.is_null() {
        return None;
    }
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no time"));
    let (date, rest) = text.split_once(['T', 't']).unwrap();
    let mut date = date.split('-').map(|n| n.parse::<i64>().unwrap());
    let mut next = || date.next().unwrap();
    let days = days(next(), next(), next());
    let zone = rest.find(['Z', 'z', '+', '-']).unwrap();
    let (clock, zone) = rest.split_at(zone);
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let minutes = zone[1..3].parse::<i64>().unwrap() * 60 + zone[4..6].parse::<i64>().unwrap();
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let seconds = clock.split(':').fold(0, |sum, n| sum * 60 + n.parse::<i64>().unwrap());
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    Some((days * 86_400 + seconds - offset * 60) * 1_000_000 + digits.parse::<i64>().unwrap())
}

/// Microseconds since 1970 as RFC 3339 in UTC with six digits.
pub fn format_micros(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut year = 1970 + day.div_euclid(366);
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|m| days(year, *m, 1) <= day).unwrap();
    let date = day - days(year, month, 1) + 1;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let years = |y: i64| (y - 1) * 365 + (y - 1).div_euclid(4) - (y - 1).div_euclid(100) + (y - 1).div_euclid(400);
    years(year) - years(1970) + before + i64::from(leap(year) && month > 2) + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_told_to_the_microsecond_whatever_their_offset() {
        assert_eq!(micros(&json!("1970-01-01T00:00:00Z")), Some(0));
        assert_eq!(micros(&json!("2018-01-01T00:00:00Z")), Some(1_514_764_800_000_000));
        assert_eq!(micros(&json!("2018-01-01T02:30:00.5+02:30")), Some(1_514_764_800_500_000));
        assert_eq!(micros(&json!("2017-12-31T23:00:00-01:00")), Some(1_514_764_800_000_000));
        for text in ["2018-01-01T00:00:00.000001Z", "2024-02-29T23:59:59.999999Z", "2100-03-01T12:00:00.000000Z"] {
            assert_eq!(format_micros(micros(&json!(text)).unwrap()), text);
        }
    }

    #[test]
    fn only_null_fields_of_structs_vanish() {
        let kind = Type::read(&json!({"s": {"x": "int", "y": "int"}, "m": {"*": "string"}, "l": ["string"]}));
        let value = json!({"s": {"x": null}, "m": {"a": null}, "l": [null], });
        assert_eq!(normal(&kind, &value), json!({"s": {}, "m": {"a": null}, "l": [null]}));
    }
}
