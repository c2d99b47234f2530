//! One field's values on both sides: from Postgres to Notion, and back, each with the other side's old value.
