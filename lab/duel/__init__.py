"""Defences against attackers: what each costs, what each still gives away, and a bench for one's own."""
