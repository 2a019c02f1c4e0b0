"""Django REST framework: serializer fields, views for clients with tokens, OpenAPI.

``serializer`` needs djangorestframework, ``async_serializer`` and ``views`` need adrf as well (the extra ``drf`` brings
both), ``schema`` needs drf-spectacular. Nothing else in the package imports them.
"""
