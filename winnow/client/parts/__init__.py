"""What `Client` consists of: a class for each thing that the service has."""
