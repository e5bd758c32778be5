"""HTTP without features: how a route is declared, and everything that is the same for all of them."""
