"""Routes of authentication, below `/api/`."""

from django.urls import path

from apps.accounts.api import admin_auth, auth, groups, staff_clients, staff_kyc, staff_users

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
    path("admin/clients", staff_clients.ClientsView.as_view()),
    path("admin/clients/search", staff_clients.ClientSearchView.as_view()),
    path("admin/client/create", staff_clients.NewClientView.as_view()),
    path("admin/client/<uuid:client_id>", staff_clients.ClientView.as_view()),
    path("admin/client/<uuid:client_id>/reveal", staff_clients.RevealView.as_view()),
    path("admin/client/<uuid:client_id>/account", staff_clients.ClientAccountView.as_view()),
    path("admin/client/<uuid:client_id>/documents", staff_kyc.ClientDocumentsView.as_view()),
    path("admin/kyc", staff_kyc.ReviewsView.as_view()),
    path("admin/kyc/<int:review_id>/take", staff_kyc.TakeReviewView.as_view()),
    path("admin/kyc/<int:review_id>/decide", staff_kyc.DecideReviewView.as_view()),
    path("admin/kyc/document/<uuid:document_id>", staff_kyc.DocumentView.as_view()),
    path("admin/users", staff_users.UsersView.as_view()),
    path("admin/user/create", staff_users.NewUserView.as_view()),
    path("admin/user/<int:user_id>", staff_users.UserView.as_view()),
    path("admin/user/<int:user_id>/password", staff_users.UserPasswordView.as_view()),
]
