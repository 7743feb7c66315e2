"""What the OpenAPI document says of each group of routes. Describes; nothing is checked against it while serving."""
