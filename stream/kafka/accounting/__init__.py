"""What the topics say of every request: accounts that must balance (reconcile), and what is behind (lag)."""
