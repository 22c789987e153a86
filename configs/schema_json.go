package configs

import (
	_ "embed"
)

//go:embed schema.json
var schemaJSON string

//go:embed schema-scaler.json
var scalerSchemaJSON string

// JSONSchema is the schema of the file for editors (JSON Schema 2020-12).
func JSONSchema() []byte { return []byte(schemaJSON) }

// ScalerJSONSchema is that of the scaler's file.
func ScalerJSONSchema() []byte { return []byte(scalerSchemaJSON) }
