package configs

import (
	_ "embed"
)

//go:embed schema.json
var schemaJSON string

// JSONSchema is the schema of the file for editors (JSON Schema 2020-12).
func JSONSchema() []byte { return []byte(schemaJSON) }
