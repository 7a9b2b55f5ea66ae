//! Declared columns and partitions, and values that do not fit their column.

use crate::support::{client::Client, home::Home, lake};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_are_kept_whole() {
    let extra = "[tables.rescue]\non_conflict = [\"rescue\"]\n[tables.reject]\non_conflict = [\"reject\"]\n\
                 [tables.fixed]\nevolution = \"none\"\n[[tables.fixed.columns]]\nname = \"id\"\ntype = \"long\"\n";
    let home = Home::http(extra);
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    for table in ["sibling", "rescue", "reject"] {
        client.commit(table, r#"{"id":1,"price":10}"#).await;
        client.commit(table, r#"{"id":2,"price":9.99}"#).await;
        client
            .commit(table, r#"{"id":3,"price":"free","more":{"a":[1,2]}}"#)
            .await;
    }
    client.commit("fixed", r#"{"id":1,"new":{"x":1}}"#).await;
    daemon.stop().await;

    let table = home.table("sibling");
    assert_eq!(table.row("id", 1)["price"], 10);
    assert_eq!(table.row("id", 2)["price__double"], 9.99);
    assert_eq!(table.row("id", 3)["price__string"], "free");
    assert_eq!(table.row("id", 3)["more"], json!({"a": [1, 2]}));

    let table = home.table("rescue");
    let rescued = |id: i64| -> Value {
        let row = home.table("rescue").row("id", id);
        assert!(!row.contains_key("price"), "{row:?}");
        serde_json::from_str(row["_rescued_data"].as_str().unwrap()).unwrap()
    };
    assert_eq!(rescued(2)["price"], 9.99);
    assert_eq!(rescued(3)["price"], "free");
    assert_eq!(table.row("id", 3)["more"], json!({"a": [1, 2]}));

    assert_eq!(home.table("reject").numbers("id"), [1]);
    let letters = home.table("_dead_letters");
    let mut values: Vec<String> = letters
        .rows()
        .iter()
        .map(|row| String::from_utf8(lake::bytes(&row["value"])).unwrap())
        .collect();
    values.sort();
    assert_eq!(
        values,
        [
            r#"{"id":2,"price":9.99}"#,
            r#"{"id":3,"price":"free","more":{"a":[1,2]}}"#
        ]
    );

    let row = home.table("fixed").row("id", 1);
    assert!(!row.contains_key("new"));
    let rescued: Value = serde_json::from_str(row["_rescued_data"].as_str().unwrap()).unwrap();
    assert_eq!(rescued["new"], json!({"x": 1}));
}

const ORDERS: &str = r#"
[tables.orders]
partition_by = ["day", "country"]
[[tables.orders.columns]]
name = "day"
type = "date"
field = "placed_at"
timestamp_unit = "milliseconds"
[[tables.orders.columns]]
name = "country"
type = "string"
[[tables.orders.columns]]
name = "placed_at"
type = "timestamp"
timestamp_unit = "milliseconds"
[[tables.orders.columns]]
name = "total"
type = "decimal(18,2)"
[[tables.orders.columns]]
name = "sku"
type = "string"
field = "line.sku"
[[tables.orders.columns]]
name = "raw"
type = "binary"
[[tables.orders.columns]]
name = "labels"
type = "map<string, string>"
[[tables.orders.columns]]
name = "any"
type = "json"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn declared_columns_and_partitions() {
    let home = Home::http(ORDERS);
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let events = [
        json!({"id": 1, "placed_at": 1_767_225_600_000_i64, "country": "ÅL/=%", "total": 12.3, "line": {"sku": "a"},
               "raw": "aGk=", "labels": {"k": "v"}, "any": [1, {"b": null}]}),
        json!({"id": 2, "placed_at": 1_767_312_000_123_i64, "country": "FI", "total": "0.05"}),
        json!({"id": 3, "placed_at": 1_767_312_000_456_i64, "country": null, "total": 1.005}),
    ];
    client.commit("orders", json!(events).to_string()).await;
    daemon.stop().await;
    let table = home.table("orders");
    assert_eq!(
        table.meta_data["partitionColumns"],
        json!(["day", "country"])
    );
    assert_eq!(table.columns()["total"], "decimal(18,2)");
    assert_eq!(table.columns()["placed_at"], "timestamp");
    assert_eq!(table.columns()["day"], "date");
    let row = table.row("id", 1);
    assert_eq!(
        (&row["day"], &row["country"]),
        (&json!("2026-01-01"), &json!("ÅL/=%"))
    );
    assert_eq!(row["sku"], "a");
    assert_eq!(lake::bytes(&row["raw"]), b"hi");
    assert_eq!(row["labels"], json!({"k": "v"}));
    assert_eq!(
        serde_json::from_str::<Value>(row["any"].as_str().unwrap()).unwrap(),
        json!([1, {"b": null}])
    );
    let row = table.row("id", 2);
    assert_eq!(
        (&row["day"], &row["country"]),
        (&json!("2026-01-02"), &json!("FI"))
    );
    // More digits than the column holds are never rounded away.
    let row = table.row("id", 3);
    assert_eq!(row["country"], Value::Null);
    assert!(!row.contains_key("total"), "{row:?}");
    assert_eq!(table.adds.len(), 3, "a file for each partition");
}
