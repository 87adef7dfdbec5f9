// The API explorer at /docs, from our own host: an installation without a way out to the internet has one too.
import SwaggerUIBundle from "swagger-ui-dist/swagger-ui-es-bundle.js";

SwaggerUIBundle({ url: "/openapi.json", dom_id: "#explorer", deepLinking: true, displayRequestDuration: true, tryItOutEnabled: true, validatorUrl: null });
