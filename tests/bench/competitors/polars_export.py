import json
print(json.dumps({"unsupported": "later"}))
