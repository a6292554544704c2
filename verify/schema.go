package verify

// Schema is the JSON Schema of [Config].
const Schema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["targets"],
  "properties": {
    "timeout": {"$ref": "#/$defs/duration", "default": "5m", "description": "How long all targets may take to pass."},
    "interval": {"$ref": "#/$defs/duration", "description": "The pause between two attempts. By default short ones that grow to 2s."},
    "attempt_timeout": {"$ref": "#/$defs/duration", "default": "5s", "description": "How long one attempt may take."},
    "consecutive": {"type": "integer", "minimum": 1, "default": 1, "description": "How many successes in a row count as one."},
    "max_retries": {"type": "integer", "minimum": 1, "description": "How many failures are too many. By default the time decides."},
    "targets": {
      "type": "array", "minItems": 1,
      "items": {
        "type": "object",
        "additionalProperties": false,
        "oneOf": [{"required": ["url"]}, {"required": ["tcp"]}, {"required": ["grpc"]}, {"required": ["dns"]}, {"required": ["sql"]}],
        "properties": {
          "name": {"type": "string", "description": "What reports call it."},
          "url": {"type": "string", "description": "An HTTP address to ask."},
          "tcp": {"type": "string", "description": "HOST:PORT to connect to."},
          "grpc": {"type": "string", "description": "HOST:PORT of a server with grpc.health.v1.Health; with tls where that is set."},
          "grpc_service": {"type": "string", "description": "The service to ask for; by default the server as a whole."},
          "dns": {"type": "string", "description": "A name that must resolve."},
          "sql": {"type": "string", "description": "The URL of a database that must answer: postgres://… or sqlite:FILE."},
          "method": {"type": "string", "default": "GET"},
          "headers": {"type": "object", "additionalProperties": {"type": "string"}},
          "body": {"type": "string"},
          "follow_redirects": {"type": "integer", "minimum": 0, "default": 0, "description": "How many redirects to follow; by default a redirect is the answer."},
          "expect_status": {"description": "200, \"2xx\", or a list of them; by default 2xx.", "anyOf": [{"$ref": "#/$defs/status"}, {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/status"}}]},
          "expect_body_contains": {"type": "string"},
          "expect_jq": {"type": "string", "description": "A jq expression that must give true of the JSON body."},
          "expect_header": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Headers of the answer with their values: the digest that a service says it runs."},
          "max_latency": {"$ref": "#/$defs/duration", "description": "A slower answer is a failure."},
          "max_body": {"type": "integer", "minimum": 1, "default": 65536, "description": "How many bytes of the body are read."},
          "tls": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
              "verify": {"type": "boolean", "default": true},
              "ca_file": {"type": "string", "description": "The certificates to trust, as PEM; relative to the application file's folder."},
              "server_name": {"type": "string"},
              "min_days": {"type": "integer", "minimum": 0, "description": "Fails a certificate that ends in fewer days."}
            }
          },
          "interval": {"$ref": "#/$defs/duration"},
          "attempt_timeout": {"$ref": "#/$defs/duration"},
          "consecutive": {"type": "integer", "minimum": 1},
          "max_retries": {"type": "integer", "minimum": 1}
        }
      }
    }
  },
  "$defs": {
    "duration": {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"},
    "status": {"anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"}]}
  }
}`
