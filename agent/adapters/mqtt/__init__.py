"""The broker over paho-mqtt: one disposable client and thread per connection (Publisher port).

`link` is the port, `connection` one way to the broker from its beginning to its end, `incoming`
how much may come over it, `route` where to connect and how, `validity` by whose clock its
certificates are judged. Persistence, windows and back-off are not here.
"""

from agent.adapters.mqtt.link import MqttLink
from agent.adapters.mqtt.route import MqttOptions

__all__ = ["MqttLink", "MqttOptions"]
