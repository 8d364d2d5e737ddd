"""Routes of authentication, below `/api/`."""

from django.urls import path

from apps.accounts.api import admin_auth, auth, groups

urlpatterns = [
    path("auth/login", auth.LoginView.as_view()),
    path("auth/refresh", auth.RefreshView.as_view()),
    path("auth/logout", auth.LogoutView.as_view()),
    path("auth/password", auth.PasswordView.as_view()),
    path("admin/auth/login", admin_auth.StaffLoginView.as_view()),
    path("admin/groups", groups.GroupsView.as_view()),
    path("admin/group/create", groups.NewGroupView.as_view()),
    path("admin/group/<int:group_id>", groups.GroupView.as_view()),
    path("auth/ws-ticket", auth.TicketView.as_view()),
]
