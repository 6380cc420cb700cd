//! Which columns are which in data files that carry no field ids, as tables that took over such files know it.

use serde::{Deserialize, Serialize};

/// The table property in which Iceberg keeps a name mapping.
pub const NAME_MAPPING: &str = "schema.name-mapping.default";
/// What is wrong with a data file that only a name mapping could tell, and what to do.
pub const NO_MAPPING: &str = "it carries no field ids and its table has no name mapping: set the table property \
                              schema.name-mapping.default, as Spark's add_files does, or rewrite the file";

/// What a table is said to have whose name mapping is damaged so, and what to do. The sentence has no end yet.
pub fn damaged(what: &str) -> String {
    format!("has a damaged name mapping, the table property {NAME_MAPPING}: {what}; set the property anew or remove it")
}

/// Iceberg's name mapping, in its own JSON form: the fields that the columns of a file are by their names, where nothing in
/// the file carries a field id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameMapping {
    /// The top-level columns.
    pub fields: Vec<NamedField>,
}

/// A column, or what is below one. An element of a list is called `element`, key and value of a map `key` and `value`,
/// whatever the file calls them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NamedField {
    /// The names by which files know it.
    #[serde(default)]
    pub names: Vec<String>,
    /// Its field id; `None` = it is no field of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_id: Option<i32>,
    /// What is below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<NamedField>,
}

impl NameMapping {
    /// Reads the value of the table property `schema.name-mapping.default`; keys that are unknown are passed over. The
    /// error is a clause that says what is wrong with it.
    pub fn parse(json: &str) -> Result<Self, String> {
        let mapping: Self =
            serde_json::from_str(json).map_err(|_| "it is no JSON list of names and field ids".to_owned())?;
        check(&mapping.fields)?;
        Ok(mapping)
    }

    /// The names of a top-level column.
    pub fn names_of(&self, field_id: i32) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter(move |f| f.field_id == Some(field_id));
        fields.flat_map(|f| &f.names).map(String::as_str)
    }
}

impl NamedField {
    /// What has that name among the fields of one level.
    pub fn called<'m>(level: &'m [NamedField], name: &str) -> Option<&'m NamedField> {
        level.iter().find(|field| field.names.iter().any(|n| n == name))
    }
}

/// A name that is two fields of one level tells neither of them.
fn check(level: &[NamedField]) -> Result<(), String> {
    let mut names: Vec<_> = level.iter().flat_map(|field| &field.names).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("it has the name {} twice on one level", twice[0]));
    }
    level.iter().try_for_each(|field| check(&field.fields))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_as_iceberg_writes_it_and_written_back() {
        let json = r#"[{"field-id":1,"names":["id","record_id"]},{"names":["ignored"]},
            {"field-id":2,"names":["location"],"since":"yesterday","fields":[
                {"field-id":3,"names":["latitude","lat"]},{"field-id":null,"names":[]}]}]"#;
        let mapping = NameMapping::parse(json).unwrap();
        let field = |id, names: &[&str], fields| NamedField {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            field_id: id,
            fields,
        };
        let below = vec![field(Some(3), &["latitude", "lat"], vec![]), field(None, &[], vec![])];
        let fields = vec![
            field(Some(1), &["id", "record_id"], vec![]),
            field(None, &["ignored"], vec![]),
            field(Some(2), &["location"], below),
        ];
        assert_eq!(mapping.fields, fields);
        assert_eq!(mapping.names_of(1).collect::<Vec<_>>(), ["id", "record_id"]);
        assert_eq!(mapping.names_of(3).count(), 0);
        assert_eq!(NameMapping::parse(&serde_json::to_string(&mapping).unwrap()).unwrap(), mapping);
    }

    #[test]
    fn a_damaged_mapping_is_told_in_a_clause() {
        for (json, what) in [
            ("", "no JSON"),
            ("{}", "no JSON"),
            (r#"[{"names":"id","field-id":1}]"#, "no JSON"),
            (r#"[{"names":["id"],"field-id":"one"}]"#, "no JSON"),
            (r#"[{"names":["a","b"],"field-id":1},{"names":["b"],"field-id":2}]"#, "the name b twice"),
            (r#"[{"names":["a"],"fields":[{"names":["c","c"],"field-id":2}]}]"#, "the name c twice"),
        ] {
            let told = NameMapping::parse(json).unwrap_err();
            assert!(told.contains(what), "{json}: {told}");
        }
    }

    #[test]
    fn one_name_may_stand_on_several_levels() {
        let mapping =
            NameMapping::parse(r#"[{"names":["a"],"field-id":1,"fields":[{"names":["a"],"field-id":2}]}]"#).unwrap();
        let outer = NamedField::called(&mapping.fields, "a").unwrap();
        assert_eq!(outer.field_id, Some(1));
        assert_eq!(NamedField::called(&outer.fields, "a").unwrap().field_id, Some(2));
        assert_eq!(NamedField::called(&outer.fields, "b"), None);
    }
}
