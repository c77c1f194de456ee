"""Kind ``http``: tokens of any API, whose requests and answers the configuration declares."""
