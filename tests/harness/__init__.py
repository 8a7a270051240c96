"""What the scenarios, the schema tests and the demo are built on: real servers, a scripted model, our programs."""
