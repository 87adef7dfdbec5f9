// The API explorer at /docs, from our own host: an installation without a way out to the internet has one too.
// Over two hundred calls: it opens as a list of their groups, in order and with a filter, and draws a group's calls when it is opened.
import SwaggerUIBundle from "swagger-ui-dist/swagger-ui-es-bundle.js";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#explorer",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  filter: true,
  tagsSorter: "alpha",
  tryItOutEnabled: true,
  validatorUrl: null,
});
