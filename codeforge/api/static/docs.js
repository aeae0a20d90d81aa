"use strict";

// Without a validator: Swagger UI's own sends the description's address to a service of theirs.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#viewer", validatorUrl: null });
