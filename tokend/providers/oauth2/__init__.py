"""Kind ``oauth2``: access tokens of OAuth 2 servers. `kind` has the model, `settings` its keys."""
