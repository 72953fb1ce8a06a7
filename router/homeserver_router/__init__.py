"""What runs in the pods of a homeserver's router, beside HAProxy.

It follows the processes' addresses and the router's configuration through the API server, and
steers HAProxy by its runtime API. It never imports the operator nor the runtime, and serves no
client.
"""
